"""Sends the dead letters that were chosen, and says in sentences what is planned, refused and done.

`kallback dead-letters replay` and the console use it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import Final

from kallback.cli.dead_letters.counts import OTHERS
from kallback.cli.dead_letters.factories import KafkaFactories
from kallback.cli.dead_letters.plan import ChosenLetters, ReplayPlan, read_chosen
from kallback.cli.dead_letters.reason_help import is_replay_useless
from kallback.cli.formatting import counted, plain
from kallback.kafka import DeadLetter, Producer, Replayer, ReplayOptions, ReplayReport
from kallback.operations.replay_checks import (
    MaySend,
    MustNotSend,
    NeedsTopic,
    ReplayRules,
    TopicDoubt,
    check_letter,
)
from kallback.protocol import ConfigurationError
from kallback.settings import Settings

_NAMED: Final = 5
"""Topics that a sentence names: who writes dead letters chooses them."""

Letters = AsyncIterator[DeadLetter]


def rules_of(settings: Settings, to: str | None, named: Iterable[str], *, unverified: bool) -> ReplayRules:
    """Return what may be sent where.

    Raises:
        ConfigurationError: a topic that is named takes no records.
    """
    rules = replace(ReplayRules.of(settings), to=to, named=frozenset(named), send_unverified=unverified)
    for name, topics in (("--to", {rules.to}), ("--allow-topic", rules.named)):
        if refused := rules.never().intersection(topics):
            raise ConfigurationError(
                f"{name} {min(refused)}: no record is replayed to this topic; name a results topic or a task topic"
            )
    return rules


def replayer_for(
    clients: KafkaFactories, producer: Producer, topic: str, options: ReplayOptions, rules: ReplayRules
) -> Replayer:
    """Return what sends dead letters of a topic, and checks each once more."""
    return Replayer(
        producer,
        topic,
        find=clients.find_many,
        read_range=clients.read_range,
        check=lambda letter: _refusal(letter, rules),
        options=options,
    )


async def send_chosen(
    clients: KafkaFactories,
    topic: str,
    chosen: ChosenLetters,
    replayer: Replayer,
    seen: Callable[[Letters], Letters] = lambda letters: letters,
) -> None:
    """Send dead letters, each of which passes `seen`; `replayer.report` says what was sent, also after a failure.

    Raises:
        MissingTopicError: one of the topics does not exist; nothing is sent.
        AccessDeniedError, KafkaUnavailableError: as `Replayer.replay`.
    """
    await clients.check_topics({name for name, _ in chosen.targets.listed() if name != OTHERS})
    async with aclosing(read_chosen(clients, topic, chosen)) as letters:
        await replayer.replay(seen(letters))


def plan_sentence(chosen: ChosenLetters, rules: ReplayRules, end: str) -> str:
    """Say what is sent where, and what was verified."""
    reasons = ", ".join(f"{count:,} {plain(each)}" for each, count in chosen.reasons.listed())
    where = ", ".join(f"{count:,} to {plain(topic)}" for topic, count in chosen.targets.listed())
    said = f"{counted(chosen.total, 'dead letter')} ({reasons}): {where}{end} {_verification(chosen, rules)}"
    useless = [f"{count:,} {plain(each)}" for each, count in chosen.reasons.listed() if is_replay_useless(each)]
    said += f" A replay changes nothing for {', '.join(useless)}: see dead-letters show." if useless else ""
    return said + (f" {_late_sentence(chosen)}" if chosen.late else "")


def _late_sentence(chosen: ChosenLetters) -> str:
    """Say that the deadline of some has passed, and what becomes of them."""
    is_one = chosen.late == 1
    which = "It is" if chosen.total == 1 else f"{chosen.late:,} of them {'is' if is_one else 'are'}"
    it, deadline = ("it", "its deadline") if is_one else ("them", "their deadlines")
    return f"{which} past {deadline}: no handler waits for {it}, bridges treat {it} as late, and workers skip {it}."


def _verification(chosen: ChosenLetters, rules: ReplayRules) -> str:
    """Say what was not verified."""
    left = chosen.total - chosen.verified
    if not left:
        return "Tokens verified; values are not signed."
    why = "KALLBACK_KEYS is not set" if rules.keyring is None else "a stub or summary, or --unverified"
    return f"Not verified: {counted(left, 'token')} ({why}), and the values, which are not signed."


def refusal_sentence(plan: ReplayPlan) -> str:
    """One sentence for each cause, with one id as an example; empty if everything may be sent."""
    kinds, sentences = plan.kinds().items(), dict[str, tuple[str, int]]()
    unnamed = {doubt: _unnamed(topics, doubt) for doubt, topics in _doubtful(plan).items()}
    for kind, number in kinds:
        if isinstance(kind.verdict, MaySend):
            continue
        cause = kind.verdict.cause if isinstance(kind.verdict, MustNotSend) else unnamed[kind.verdict.doubt]
        example, count = sentences.get(cause, (str(number.example), 0))
        sentences[cause] = (example, count + number.count)
    return "; ".join(
        f"{counted(count, 'dead letter')} not replayed (for example {example}): {plain(cause)}"
        for cause, (example, count) in sentences.items()
    )


def _doubtful(plan: ReplayPlan) -> dict[TopicDoubt, list[str]]:
    found = defaultdict[TopicDoubt, set[str]](set)
    for kind in plan.kinds():
        if isinstance(kind.verdict, NeedsTopic):
            found[kind.verdict.doubt].add(kind.verdict.topic)
    return {doubt: sorted(topics) for doubt, topics in found.items()}


def doubt_words(topics: str, doubt: TopicDoubt, *, is_one: bool = True) -> str:
    """Say why only the operator can allow topics."""
    are = "is" if is_one else "are"
    type_, known = ("type", "a topic") if is_one else ("types", "topics")
    match doubt:
        case TopicDoubt.UNKNOWN | TopicDoubt.NO_KEYS:
            return f"{topics} {are} not known as {known} of this installation"
        case TopicDoubt.OTHER_NAME:
            return f"{topics} {are} not named like the task {type_}; the token is valid, but it does not name the topic"
        case TopicDoubt.OTHER_NAME_NO_KEYS:
            why = "the token is not verified (KALLBACK_KEYS is not set), and does not name the topic"
            return f"{topics} {are} not named like the task {type_}; {why}"


def _unnamed(topics: Sequence[str], doubt: TopicDoubt) -> str:
    named, more = ", ".join(topics[:_NAMED]), f" and {len(topics) - _NAMED} more" if len(topics) > _NAMED else ""
    options = " ".join(f"--allow-topic {topic}" for topic in topics[:_NAMED])
    is_one = len(topics) == 1
    known = doubt_words(named + more, doubt, is_one=is_one)
    yours = "if it is one of yours" if is_one else "for those that are yours"
    keys = ", or set KALLBACK_KEYS, so that the tokens of tasks are verified" if doubt is TopicDoubt.NO_KEYS else ""
    return f"{known}; {yours}, add {options}{keys}"


def nothing_sentence(plan: ReplayPlan) -> str:
    """Say that nothing is sent: there is nothing, or all of it is refused."""
    refused = sum(number.count for kind, number in plan.kinds().items() if not isinstance(kind.verdict, MaySend))
    return f"0 of {counted(refused, 'dead letter')} can be replayed." if refused else "Nothing to replay."


def _refusal(letter: DeadLetter, rules: ReplayRules) -> str | None:
    """Why a dead letter must not be sent, now that its record is whole."""
    match check_letter(letter, rules):
        case MaySend():
            return None
        case MustNotSend(cause):
            return cause
        case NeedsTopic(topic, doubt):
            return _unnamed([topic], doubt)


def result_lines(report: ReplayReport, total: int) -> list[str]:
    """Say what was sent."""
    lines = [f"Replayed {report.sent:,} of {counted(total, 'dead letter')}."]
    return [*lines, f"{counted(report.records, 'record')} of summaries sent."] if report.records else lines


def remark_lines(report: ReplayReport, total: int) -> list[str]:
    """Say what was not sent, and what the next run does; empty if there is nothing to say."""
    lines = [
        f"{counted(count, 'record')} of summaries not sent: {plain(cause)}" for cause, count in report.left_out.items()
    ]
    if report.unmarked:
        sent_again = f"{counted(report.unmarked, 'dead letter')} sent without a replay marker"
        lines.append(f"{sent_again}: the next run sends what has no marker again.")
    if report.sent + sum(each.count for each in report.failed.values()) < total:
        lines.append("Replay the same again to continue with the rest.")
    return lines


def failure_sentence(report: ReplayReport) -> str:
    """One sentence per cause, with the first id as an example."""
    causes = (
        f"{failure.count} (for example {failure.example}): {plain(cause)}" for cause, failure in report.failed.items()
    )
    total = sum(failure.count for failure in report.failed.values())
    return f"{counted(total, 'dead letter')} not replayed. " + "; ".join(causes)
