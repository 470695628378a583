"""Replays dead letters for an operator, as `kallback dead-letters replay` does: a check first, then the sending.

One replay at a time, and a bounded number of dead letters in each: a browser waits for the answer. What was sent has a
replay marker, so that a replay which ends early goes on where it ended.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Final, Protocol

from kallback.cli.console.changes import ReplayForm
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
from kallback.kafka import ReplayOptions
from kallback.operations import NotAnswerableError
from kallback.settings import Settings


@dataclass(frozen=True, slots=True)
class ReplayCheck:
    """What a replay would do, or what it did.

    Attributes:
        sentences: what is sent where, what was left out, and why.
        total: number of dead letters that may be sent.
    """

    sentences: tuple[str, ...]
    total: int = 0


class ReplaysLetters(Protocol):
    """What replays dead letters; a test has another one."""

    async def check(self, form: ReplayForm) -> ReplayCheck:
        """Return what would be sent; raises as `LetterReplays.send`."""
        ...

    async def send(self, form: ReplayForm) -> ReplayCheck:
        """Send, and return what was sent; raises as `LetterReplays.send`."""
        ...


class LetterReplays:
    """`ReplaysLetters` of one environment."""

    def __init__(self, clients: KafkaFactories, settings: Settings) -> None:
        self._clients: Final = clients
        self._settings: Final = settings
        self._topic: Final = settings.topics.dead_letters
        self._rules: Final = rules_of(settings, None, (), unverified=False)
        self._running: Final = asyncio.Lock()

    async def check(self, form: ReplayForm) -> ReplayCheck:
        """Return what would be sent."""
        chosen, refusals = await self._choose(form)
        if not chosen.total:
            return ReplayCheck(tuple(refusals))
        return ReplayCheck((plan_sentence(chosen, self._rules, " would be sent."), *refusals), chosen.total)

    async def send(self, form: ReplayForm) -> ReplayCheck:
        """Send, and return what was sent.

        Raises:
            NotAnswerableError: another replay is running.
            MissingTopicError, AccessDeniedError, KafkaUnavailableError: of Kafka.
        """
        if self._running.locked():
            raise NotAnswerableError("another replay is running: wait until it has ended, and check again")
        async with self._running:
            chosen, refusals = await self._choose(form)
            if not chosen.total:
                return ReplayCheck(tuple(refusals))
            async with self._clients.producer() as producer:
                options = ReplayOptions(per_second=form.per_second, operator=form.operator)
                replayer = replayer_for(self._clients, producer, self._topic, options, self._rules)
                await send_chosen(self._clients, self._topic, chosen, replayer)
        report, total = replayer.report, chosen.total
        failures = [failure_sentence(report)] if report.failed else []
        return ReplayCheck((*result_lines(report, total), *remark_lines(report, total), *failures, *refusals), total)

    async def _choose(self, form: ReplayForm) -> tuple[ChosenLetters, list[str]]:
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
        return chosen, sentences if chosen.total else [nothing_sentence(plan), *sentences]
