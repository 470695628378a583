"""Sends the dead letters that were chosen, and says in sentences what is planned, refused and done.

`kallback dead-letters replay` and the console use it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import aclosing
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from kallback.cli.dead_letters.factories import KafkaFactories
from kallback.cli.dead_letters.plan import (
    ChosenLetters,
    KindCount,
    PlanVerdict,
    ReplayPlan,
    UnusableTopic,
    read_chosen,
    read_replayed_since,
)
from kallback.cli.dead_letters.reason_help import is_replay_useless
from kallback.cli.formatting import counted, plain
from kallback.kafka import DeadLetter, DeadLetterId, Hidden, Missing, Producer, Replayer, ReplayOptions, ReplayReport
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

if TYPE_CHECKING:
    from kallback.kafka.dead_letters.replay import ReplayFailure

_NAMED: Final = 5
"""Topics that a sentence names: who writes dead letters chooses them."""

_ACL: Final = "let an administrator add the missing ACL"

Members = dict[str, Any]
Letters = AsyncIterator[DeadLetter]
_Trouble = TopicDoubt | type[Missing] | type[Hidden]
"""What keeps dead letters from being sent to topics."""


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

    An operator may have looked at them for a while: what another replay has sent since is left out.

    Raises:
        AccessDeniedError, KafkaUnavailableError: as `Replayer.replay`.
    """
    gone = await read_replayed_since(clients, topic, chosen)
    replayer.report.left_to_others = len(gone)
    async with aclosing(read_chosen(clients, topic, chosen)) as letters:
        await replayer.replay(_without(seen(letters), gone))


async def _without(letters: Letters, gone: AbstractSet[DeadLetterId]) -> Letters:
    async for letter in letters:
        if letter.id not in gone:
            yield letter


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
    kinds = "a stub or summary, or --unverified" if rules.send_unverified else "a stub or summary"
    why = "KALLBACK_KEYS is not set" if rules.keyring is None else kinds
    return f"Not verified: {counted(left, 'token')} ({why}), and the values, which are not signed."


def refusals_of(plan: ReplayPlan) -> dict[str, KindCount]:
    """Return how many dead letters are not sent for each cause, with one id as an example."""
    found = dict[str, KindCount]()
    named = {trouble: _trouble_words(topics, trouble) for trouble, topics in _topics_by_trouble(plan).items()}
    for kind, number in plan.kinds().items():
        if (cause := _cause(kind.verdict, named)) is not None:
            found.setdefault(cause, KindCount(number.example)).count += number.count
    return found


def _cause(verdict: PlanVerdict, named: Mapping[_Trouble, str]) -> str | None:
    match verdict:
        case MaySend():
            return None
        case MustNotSend(cause):
            return cause
        case NeedsTopic(_, doubt):
            return named[doubt]
        case UnusableTopic(unusable):
            return named[type(unusable)]


def refusal_sentence(plan: ReplayPlan) -> str:
    """One sentence for each cause, with one id as an example; empty if everything may be sent."""
    return "; ".join(
        f"{counted(refused.count, 'dead letter')} not replayed (for example {refused.example}): {plain(cause)}"
        for cause, refused in refusals_of(plan).items()
    )


def _topics_by_trouble(plan: ReplayPlan) -> dict[_Trouble, list[str]]:
    found = defaultdict["_Trouble", set[str]](set)
    for kind in plan.kinds():
        match kind.verdict:
            case NeedsTopic(topic, doubt):
                found[doubt].add(topic)
            case UnusableTopic(unusable):
                found[type(unusable)].add(unusable.name)
            case _:
                pass
    return {trouble: sorted(topics) for trouble, topics in found.items()}


def _trouble_words(topics: Sequence[str], trouble: _Trouble) -> str:
    """Say what is wrong with topics, and what to do."""
    if isinstance(trouble, TopicDoubt):
        return _unnamed(topics, trouble)
    some, is_one = _some(topics), len(topics) == 1
    if trouble is Hidden:
        exist = "it exists" if is_one else "they exist"
        return f"this user may not look at {some} (DESCRIBE), so it is not known whether {exist}; {_ACL}"
    missing = f"topic {some} does not exist" if is_one else f"topics {some} do not exist"
    create = f"kallback topics create {' '.join(topics[:_NAMED])}"
    return f"{missing}; {_if_yours(is_one=is_one)}, create {'it' if is_one else 'them'} with: {create}"


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
    options = " ".join(f"--allow-topic {topic}" for topic in topics[:_NAMED])
    is_one = len(topics) == 1
    known = doubt_words(_some(topics), doubt, is_one=is_one)
    keys = ", or set KALLBACK_KEYS, so that the tokens of tasks are verified" if doubt is TopicDoubt.NO_KEYS else ""
    return f"{known}; {_if_yours(is_one=is_one)}, use kallback dead-letters replay {options}{keys}"


def _some(topics: Sequence[str]) -> str:
    more = f" and {len(topics) - _NAMED} more" if len(topics) > _NAMED else ""
    return ", ".join(topics[:_NAMED]) + more


def _if_yours(*, is_one: bool) -> str:
    return "if it is one of yours" if is_one else "for those that are yours"


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


def remark_lines(
    report: ReplayReport, total: int, again: str = "Replay the same again to continue with the rest."
) -> list[str]:
    """Say what was not sent, and what the next run does (`again`); empty if there is nothing to say."""
    lines = [
        f"{counted(count, 'record')} of summaries not sent: {plain(cause)}" for cause, count in report.left_out.items()
    ]
    if report.left_to_others:
        left = counted(report.left_to_others, "dead letter")
        lines.append(f"{left} not sent here: another replay sent {'it' if report.left_to_others == 1 else 'them'}.")
    if report.unmarked:
        sent_again = f"{counted(report.unmarked, 'dead letter')} sent without a replay marker"
        lines.append(f"{sent_again}: the next run sends what has no marker again.")
    if report.sent + report.left_to_others + sum(each.count for each in report.failed.values()) < total:
        lines.append(again)
    return lines


def members_of_replay(
    plan: ReplayPlan, chosen: ChosenLetters, report: ReplayReport, missing: Iterable[DeadLetterId], *, dry_run: bool
) -> Members:
    """What `replay --json` prints: what was sent, and what was not, with the causes, and ids that lead to nothing."""
    causes: list[tuple[str, KindCount | ReplayFailure]] = [*refusals_of(plan).items(), *report.failed.items()]
    return {
        "dry_run": dry_run,
        "chosen": chosen.total,
        "sent": report.sent,
        "unmarked": report.unmarked,
        "summary_records": report.records,
        "already_replayed": plan.already_replayed() + report.left_to_others,
        "not_sent": [{"count": each.count, "example": str(each.example), "cause": cause} for cause, each in causes],
        "not_found": [str(each) for each in missing],
        "summary_records_not_sent": [{"count": count, "cause": cause} for cause, count in report.left_out.items()],
    }


def failure_sentence(report: ReplayReport) -> str:
    """One sentence per cause, with the first id as an example."""
    causes = (
        f"{failure.count} (for example {failure.example}): {plain(cause)}" for cause, failure in report.failed.items()
    )
    total = sum(failure.count for failure in report.failed.values())
    return f"{counted(total, 'dead letter')} not replayed. " + "; ".join(causes)
