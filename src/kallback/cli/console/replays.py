"""Replays dead letters for an operator, as `kallback dead-letters replay` does: a check first, then the sending.

The list that the check made is kept until it is sent, once: what is dead-lettered after the check is not among it. One
replay at a time, and a bounded number of dead letters in each. What was sent has a replay marker, so that a check after
a replay that ended early finds the rest.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Protocol

from kallback.cli.console.changes import ReplayForm, ReplayOrder
from kallback.cli.console.kept import ConfirmedOnce, KeptItems, new_name
from kallback.cli.dead_letters.factories import KafkaFactories
from kallback.cli.dead_letters.plan import ChosenLetters, read_plan
from kallback.cli.dead_letters.rows import Selection
from kallback.cli.dead_letters.sending import (
    failure_sentence,
    nothing_sentence,
    plan_sentence,
    refusal_sentence,
    remark_lines,
    replayer_for,
    result_lines,
    rules_of,
    send_chosen,
)
from kallback.cli.formatting import counted
from kallback.kafka import ReplayOptions, ReplayReport
from kallback.protocol import KallbackError
from kallback.protocol.by_hand import Operator
from kallback.settings import Settings

_MOST_KEPT: Final = 20
"""Checked replays, each of 1,000 dead letters at most."""


@dataclass(frozen=True, slots=True)
class ReplayCheck:
    """What a replay would do.

    Attributes:
        name: of the list that is sent.
        sentences: what is sent where, what is left out, and why.
        total: number of dead letters that may be sent.
    """

    name: str
    sentences: tuple[str, ...]
    total: int = 0


@dataclass(frozen=True, slots=True)
class ReplayDone:
    """What a replay did.

    Attributes:
        sentences: what was sent, what was left out, and why.
        error: what ended it before the last one; None if nothing did.
    """

    sentences: tuple[str, ...]
    error: str | None = None


@dataclass(frozen=True, slots=True)
class _CheckedReplay:
    """A list of dead letters, until it is sent."""

    check: ReplayCheck
    chosen: ChosenLetters
    refusals: tuple[str, ...]
    per_second: int


class ReplaysLetters(Protocol):
    """What replays dead letters; a test has another one."""

    async def check(self, form: ReplayForm) -> ReplayCheck:
        """Return what would be sent, and keep it for `send`; raises as `read_plan`."""
        ...

    def checked(self, name: str) -> ReplayCheck | None:
        """Return what a check found; None if it was sent, or is not kept any more."""
        ...

    def is_running(self, name: str) -> bool:
        """Return whether what was checked is being sent."""
        ...

    async def send(self, order: ReplayOrder) -> ReplayDone:
        """Send what was checked, once, and return what was sent.

        Raises:
            NotAnswerableError: there is no such list any more, or another replay is running.
        """
        ...


class LetterReplays:
    """`ReplaysLetters` of one environment."""

    def __init__(self, clients: KafkaFactories, settings: Settings) -> None:
        self._clients: Final = clients
        self._topic: Final = settings.topics.dead_letters
        self._rules: Final = rules_of(settings, None, (), unverified=False)
        self._checked: Final = ConfirmedOnce(KeptItems[_CheckedReplay](_MOST_KEPT), "replay", "check the replay again")

    async def check(self, form: ReplayForm) -> ReplayCheck:
        """Return what would be sent, and keep it for `send`."""
        chosen, refusals = await self._choose(form)
        planned = [plan_sentence(chosen, self._rules, " would be sent.")] if chosen.total else []
        check = ReplayCheck(new_name(), (*planned, *refusals), chosen.total)
        self._checked.keep(check.name, _CheckedReplay(check, chosen, refusals, form.per_second))
        return check

    def checked(self, name: str) -> ReplayCheck | None:
        """Return what a check found."""
        found = self._checked.find(name)
        return None if found is None else found.check

    def is_running(self, name: str) -> bool:
        """Return whether what was checked is being sent."""
        return self._checked.is_running(name)

    async def send(self, order: ReplayOrder) -> ReplayDone:
        """Send what was checked, once, and return what was sent."""
        async with self._checked.using(order.plan) as checked:
            return await self._send(checked, order.operator)

    async def _send(self, checked: _CheckedReplay, operator: Operator) -> ReplayDone:
        """An error is part of the answer: what was sent before stays sent."""
        chosen, report, failure = checked.chosen, ReplayReport(), None
        options = ReplayOptions(per_second=checked.per_second, operator=operator)
        try:
            async with self._clients.producer() as producer:
                replayer = replayer_for(self._clients, producer, self._topic, options, self._rules)
                report = replayer.report
                await send_chosen(self._clients, self._topic, chosen, replayer)
        except KallbackError as error:
            failure = str(error)
        failures = [failure_sentence(report)] if report.failed else []
        said = (*result_lines(report, chosen.total), *remark_lines(report, chosen.total, _AGAIN), *failures)
        return ReplayDone((*said, *checked.refusals), failure)

    async def _choose(self, form: ReplayForm) -> tuple[ChosenLetters, tuple[str, ...]]:
        """Return what is sent, and sentences about what is not."""
        selection = Selection(
            ids=frozenset({form.letter} if form.letter is not None else ()),
            reasons=frozenset({form.reason} - {""}),
            types=frozenset({form.task_type} - {""}),
        )
        plan = await read_plan(self._clients, self._topic, selection, self._rules, again=form.again)
        sentences = [sentence] if (sentence := refusal_sentence(plan)) else []
        if replayed := plan.already_replayed():
            sentences.append(f"{counted(replayed, 'dead letter')} already replayed.")
        chosen = plan.choose(form.limit)
        return chosen, tuple(sentences if chosen.total else [nothing_sentence(plan), *sentences])


_AGAIN: Final = "Check the replay again to continue with the rest."
