"""`kallback dead-letters replay`: plan, confirm, send, report.

The topic is read twice: first to decide about the selected dead letters and to find those that were already replayed,
then to send. `plan` says what is kept in between, `checks` what may be sent.
"""

import asyncio
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import aclosing
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Final

import click
import orjson

from kallback.cli.activity import Update, activity
from kallback.cli.by_hand_options import by_option, operator_of, user_name, why_option
from kallback.cli.confirmation import confirm
from kallback.cli.dead_letters.factories import KafkaFactories, factories_for
from kallback.cli.dead_letters.options import read_rate, selecting, selection_of
from kallback.cli.dead_letters.plan import ChosenLetters, ReplayPlan, read_chosen, read_plan
from kallback.cli.dead_letters.rows import HEADINGS, Selection, row_of
from kallback.cli.dead_letters.sending import (
    doubt_words,
    failure_sentence,
    members_of_replay,
    nothing_sentence,
    plan_sentence,
    refusal_sentence,
    remark_lines,
    replayer_for,
    result_lines,
    rules_of,
    send_chosen,
)
from kallback.cli.formatting import counted, plain, printable_json
from kallback.cli.help import TextCommand, argument, option
from kallback.cli.tables import RowPrinter
from kallback.kafka import DeadLetter, DeadLetterId, ReplayOptions, ReplayReport
from kallback.operations.replay_checks import NeedsTopic, ReplayRules, TopicDoubt
from kallback.protocol import ConfigurationError, KallbackError
from kallback.settings import Settings

_MOST_QUESTIONS: Final = 20


class NotAllReplayedError(KallbackError):
    """Some dead letters could not be replayed."""

    has_entry = True


@click.command(cls=TextCommand)
@argument("ids", nargs=-1, metavar="[PARTITION:OFFSET]...", help="Ids of dead letters, as list shows them.")
@selecting
@option("--all", "everything", is_flag=True, help="Replay all dead letters. Required if there is no id and no filter.")
@option("--again", is_flag=True, help="Include dead letters that were already replayed.")
@option("--to", metavar="TOPIC", help="Send to this topic. Default: the source topic of each record.")
@option(
    "--allow-topic",
    "named",
    multiple=True,
    metavar="TOPIC",
    help="Also send to this topic, and replay tasks whose results go there. Can be repeated.",
)
@option("--unverified", is_flag=True, help="Also send records whose token or headers do not pass the checks.")
@option("--rate", callback=read_rate, metavar="N/s", help="Maximum rate, for example 50/s or 30/m. Default: no limit.")
@option("--dry-run", is_flag=True, help="Show what would be sent, without sending it.")
@option(
    "--json", "as_json", is_flag=True, help="Print one JSON object: how many were sent, and not sent for which cause."
)
@by_option
@why_option
@option("-y", "--yes", is_flag=True, help="Do not ask for confirmation. It does not replace --allow-topic.")
def replay(ids: tuple[str, ...], **options: Any) -> None:
    """Send dead letters again, byte for byte.

    Select them by id or with filters. Replay markers in the dead-letter topic record what was sent and by whom, so an
    interrupted replay continues with the same command.

    Records go to the results topic, to topics with this installation's prefix, to the task topic that a valid token
    names, and to topics that you allow. If KALLBACK_KEYS is set, tokens are verified before anything is sent.

    For example:

        kallback dead-letters replay --reason unknown-key --dry-run
    """
    settings = Settings.from_env()
    clients, topic = factories_for(settings.kafka), settings.topics.dead_letters
    rules = rules_of(settings, options["to"], options["named"], unverified=options["unverified"])
    selection = _selection(options, ids)
    by, why = options["by"], options["why"]
    operator = None if by is None and user_name() is None else operator_of(by, why)
    plan, rules = _read(clients, topic, selection, rules, again=options["again"], ask=not options["dry_run"])
    _say_left_out(plan)
    missing = plan.missing(selection.ids)
    chosen, dry_run, as_json = plan.choose(options["limit"]), options["dry_run"], options["as_json"]

    def say(report: ReplayReport) -> None:
        if as_json:
            members = members_of_replay(plan, chosen, report, missing, dry_run=dry_run)
            click.echo(printable_json(orjson.dumps(members)))
        elif chosen.total and not dry_run:
            click.echo("\n".join(result_lines(report, chosen.total)))

    failures = ""
    if not chosen.total:
        click.echo(nothing_sentence(plan), err=as_json)
        say(ReplayReport())
    elif dry_run:
        if not as_json:
            asyncio.run(_print_chosen(clients, topic, chosen))
        click.echo(plan_sentence(chosen, rules, " would be sent."), err=True)
        if not ids and selection.until_ms is None:
            click.echo(_later_sentence(chosen), err=True)
        say(ReplayReport())
    else:
        click.echo(plan_sentence(chosen, rules, "."), err=True)
        confirm("Replay now?", yes=options["yes"])
        how = ReplayOptions(to=rules.to, per_second=options["rate"], operator=operator)
        failures = asyncio.run(_send(clients, topic, chosen, how, rules, say))
    if left := "; ".join(filter(None, (failures, refusal_sentence(plan), _missing_sentence(missing)))):
        raise NotAllReplayedError(left)


def _selection(options: dict[str, Any], ids: tuple[str, ...]) -> Selection:
    selection = selection_of(options, ids)
    if selection == Selection() and not (options["everything"] or options["limit"]):
        raise ConfigurationError(
            "no dead letters selected: give ids or filters (--reason, --type, --topic, --since, --until), or --all"
        )
    return selection


def _read(
    clients: KafkaFactories, topic: str, selection: Selection, rules: ReplayRules, *, again: bool, ask: bool
) -> tuple[ReplayPlan, ReplayRules]:
    """Read the plan; on a terminal, ask about topics that are not known, and read again with those that are allowed."""
    asked = set[str]()
    while True:
        with activity(f"reading {topic}"):
            plan = asyncio.run(read_plan(clients, topic, selection, rules, again=again))
        foreign = _foreign(plan)
        questions = sorted(foreign.keys() - asked)[:_MOST_QUESTIONS]
        if not (ask and sys.stdin.isatty() and questions and len(asked) < _MOST_QUESTIONS):
            return plan, rules
        allowed = {name for name in questions if _allow(name, *foreign[name])}
        if not allowed:
            return plan, rules
        asked |= set(questions)
        rules = replace(rules, named=rules.named | allowed)


def _foreign(plan: ReplayPlan) -> dict[str, tuple[int, TopicDoubt]]:
    found = dict[str, tuple[int, TopicDoubt]]()
    for kind, number in plan.kinds().items():
        if isinstance(kind.verdict, NeedsTopic):
            count, doubt = found.get(kind.verdict.topic, (0, kind.verdict.doubt))
            is_same = doubt is kind.verdict.doubt
            found[kind.verdict.topic] = (count + number.count, doubt if is_same else TopicDoubt.UNKNOWN)
    return found


def _allow(topic: str, count: int, doubt: TopicDoubt) -> bool:
    name = plain(topic)
    words = f"{counted(count, 'dead letter')} would write to {name}. {doubt_words(name, doubt)}. Is it one of yours?"
    return click.confirm(words, err=True)


def _missing_sentence(missing: Sequence[DeadLetterId]) -> str:
    """Say which ids lead to no dead letter; empty if all do."""
    return f"not found, or excluded by the filters: {', '.join(map(str, missing))}" if missing else ""


def _say_left_out(plan: ReplayPlan) -> None:
    """Say what was already replayed."""
    if replayed := plan.already_replayed():
        click.echo(
            f"{counted(replayed, 'dead letter')} already replayed; --again sends such dead letters once more.", err=True
        )


def _later_sentence(chosen: ChosenLetters) -> str:
    """Say that the list is made anew by the run that sends, and how it stays the same."""
    until = datetime.fromtimestamp(chosen.read_ms / 1000, UTC).isoformat(timespec="milliseconds").partition("+")[0]
    return f"A later run also sends what matches and is dead-lettered by then; --until {until} leaves that out."


async def _print_chosen(clients: KafkaFactories, topic: str, chosen: ChosenLetters) -> None:
    with RowPrinter(HEADINGS) as printer:
        async with aclosing(read_chosen(clients, topic, chosen)) as letters:
            async for letter in letters:
                printer.add(row_of(letter).line())


async def _send(
    clients: KafkaFactories,
    topic: str,
    chosen: ChosenLetters,
    options: ReplayOptions,
    rules: ReplayRules,
    say: Callable[[ReplayReport], None],
) -> str:
    """Send the letters; say what was sent, also after a failure, and return a sentence about those that were not."""
    async with clients.producer() as producer:
        replayer = replayer_for(clients, producer, topic, options, rules)
        try:
            with activity("sending") as update:
                await send_chosen(
                    clients, topic, chosen, replayer, lambda letters: _counted(letters, chosen.total, update)
                )
        finally:
            say(replayer.report)
            for line in remark_lines(replayer.report, chosen.total):
                click.echo(line, err=True)
    return failure_sentence(replayer.report) if replayer.report.failed else ""


async def _counted(letters: AsyncIterator[DeadLetter], total: int, update: Update) -> AsyncIterator[DeadLetter]:
    """Show progress."""
    count = 0
    async for letter in letters:
        yield letter
        count += 1
        update(f"sending: {count:,} of {total:,} ({count * 100 // max(count, total)} %)")
