"""What the pages show, read from Restate and Kafka at the moment that a page is made. Nothing is stored.

Reads are bounded: pages of tasks, one record, the last dead letters of each partition.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterable, Mapping, Sequence
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass, field, replace
from typing import Final, Protocol

from kallback import kafka
from kallback.cli.console.outcomes import LAST_OUTCOMES
from kallback.cli.console.processes import ProcessStatus, read_process
from kallback.cli.console.traffic import TrafficSample, lag_of
from kallback.cli.dead_letters.contents import Replay
from kallback.kafka import DeadLetter, DeadLetterId, Position, Record, ReplayMarker, read_entry, read_ranges
from kallback.lifecycle import StartStop
from kallback.operations import AbsentTask, AbsentTasks, Introspection, PendingTask, PendingTasks, TaskFilter, TaskPage
from kallback.protocol import OutcomeRecord, read_outcome
from kallback.settings import Settings

LAST_LETTERS: Final = 200
KEPT_VALUE_BYTES: Final = 16 * 1024
"""Lists of dead letters show no values; a smaller one may have the token, which says the task type."""


_MOST_REPLAYS: Final = 50_000
"""Ids in replay markers that are kept while the last records are read: a marker of kallback has 100 at most."""


@dataclass(frozen=True, slots=True)
class LastLetters:
    """The last dead letters.

    Attributes:
        letters: the newest first.
        replays: those of them that a marker among the last records names as replayed.
    """

    letters: Sequence[DeadLetter] = ()
    replays: Mapping[DeadLetterId, Replay] = field(default_factory=dict[DeadLetterId, Replay])


class ConsoleSources(Protocol):
    """Where pages get what they show; a test has another one."""

    async def tasks(self, wanted: TaskFilter, cursor: str | None, limit: int) -> TaskPage:
        """Return a page of pending tasks; raises as `PendingTasks.page`."""
        ...

    def all_tasks(self) -> AsyncGenerator[TaskPage]:
        """Return all pending tasks; raises as `PendingTasks.each`."""
        ...

    async def task(self, task_id: str) -> PendingTask | None:
        """Return one pending task; None if no handler waits for it; raises as `AbsentTasks.find_pending`."""
        ...

    async def untaken_task(self, task_id: str) -> PendingTask | None:
        """Return one that has its result, while its handler has not gone on; raises as `PendingTasks.page`."""
        ...

    async def absent_task(self, task_id: str) -> AbsentTask:
        """Say why no handler waits for a task."""
        ...

    async def record(self, position: Position) -> Record | None:
        """Return the record at a position; None if it is not there any more; raises as `find_record`."""
        ...

    async def letters(self) -> LastLetters:
        """Return the last dead letters; raises as `find_record`."""
        ...

    async def letter(self, name: DeadLetterId) -> DeadLetter | None:
        """Return one dead letter; None if it is not there any more; raises as `find_record`."""
        ...

    async def outcomes(self) -> list[OutcomeRecord]:
        """Return the last outcomes, the newest first; raises as `find_record`."""
        ...

    async def traffic(self) -> TrafficSample:
        """Return how much there is now; raises as `EndOffsets.of` and `groups_of`."""
        ...

    async def processes(self) -> list[ProcessStatus]:
        """Return what bridges, workers, services and gateways say of themselves."""
        ...


class ServerSources(StartStop):
    """`ConsoleSources` of one environment on real servers.

    Args:
        processes: addresses of health ports.
    """

    def __init__(self, settings: Settings, processes: Sequence[str] = ()) -> None:
        self._processes: Final = tuple(processes)
        self._settings: Final = settings
        self._introspection: Final = Introspection(settings.restate)
        self._pending: Final = PendingTasks(self._introspection, settings)
        self._absent: Final = AbsentTasks(self._introspection, settings.keys.audience)
        self._ends: Final = kafka.clients_of(kafka.Client.CONFLUENT, settings.kafka).end_offsets()
        self._running = AsyncExitStack()

    @property
    def pending(self) -> PendingTasks:
        """What reads pending tasks; it knows the journals that pages have read."""
        return self._pending

    async def start(self) -> None:
        """Get ready; nothing is connected yet.

        Raises:
            ConfigurationError: an address, a CA file or a token cannot be used.
        """
        await self._running.enter_async_context(self._introspection)
        self._running.push_async_callback(self._ends.stop)

    async def stop(self) -> None:
        """Close the connections; stopping twice is fine."""
        await self._running.aclose()

    async def tasks(self, wanted: TaskFilter, cursor: str | None, limit: int) -> TaskPage:
        """Return a page of pending tasks."""
        return await self._pending.page(wanted, cursor=cursor, limit=limit)

    def all_tasks(self) -> AsyncGenerator[TaskPage]:
        """Return all pending tasks."""
        return self._pending.each()

    async def task(self, task_id: str) -> PendingTask | None:
        """Return one pending task."""
        return await self._absent.find_pending(self._pending, task_id)

    async def untaken_task(self, task_id: str) -> PendingTask | None:
        """Return one that has its result, while its handler has not gone on."""
        return await self._pending.find_untaken(task_id)

    async def absent_task(self, task_id: str) -> AbsentTask:
        """Say why no handler waits for a task."""
        return await self._absent.explain(task_id)

    async def record(self, position: Position) -> Record | None:
        """Return the record at a position."""
        return await kafka.find_record(self._settings.kafka, position)

    async def letters(self) -> LastLetters:
        """Return the last dead letters; large values are left out."""
        async with aclosing(self._last(self._settings.topics.dead_letters, LAST_LETTERS)) as batches:
            return await last_letters(batches)

    async def letter(self, name: DeadLetterId) -> DeadLetter | None:
        """Return one dead letter."""
        record = await self.record(Position(self._settings.topics.dead_letters, name.partition, name.offset))
        entry = None if record is None else read_entry(record)
        return entry if isinstance(entry, DeadLetter) else None

    async def outcomes(self) -> list[OutcomeRecord]:
        """Return the last outcomes."""
        found = list[OutcomeRecord]()
        async with aclosing(self._last(self._settings.topics.outcomes, LAST_OUTCOMES)) as batches:
            async for records in batches:
                found += [outcome for record in records if (outcome := read_outcome(record.value)) is not None]
                found = sorted(found, key=lambda outcome: outcome.at_ms, reverse=True)[:LAST_OUTCOMES]
        return found

    async def traffic(self) -> TrafficSample:
        """Return how much there is now."""
        topics = self._settings.topics
        ends = await self._ends.of([*topics.all_results, topics.dead_letters])
        results = {partition: end for partition, end in ends.items() if partition.topic in topics.all_results}
        groups = await kafka.groups_of(self._settings.kafka, topics.all_results, results)
        return TrafficSample(
            int(time.time() * 1000),
            sum(results.values()),
            sum(ends.values()) - sum(results.values()),
            lag_of(groups),
        )

    async def _last(self, topic: str, count: int) -> AsyncGenerator[list[Record]]:
        """Return so many records of each partition, those at its end; all partitions are read with one consumer."""
        ends = {partition.partition: end for partition, end in (await self._ends.of([topic])).items()}
        ranges = {number: (max(0, end - count), end) for number, end in ends.items() if end}
        if not ranges:
            return
        async with aclosing(read_ranges(self._settings.kafka, topic, ranges)) as batches:
            async for records in batches:
                yield records

    async def processes(self) -> list[ProcessStatus]:
        """Return what bridges, workers, services and gateways say of themselves."""
        return await asyncio.gather(*map(read_process, self._processes))


async def last_letters(batches: AsyncIterable[Sequence[Record]]) -> LastLetters:
    """Return the newest dead letters of what is read, without their large values, and which were replayed.

    What is kept is bounded while it is read, too: anyone who may write results can fill the topic with large records,
    and who may write dead letters can name any number of them in replay markers.
    """
    found, replays = list[DeadLetter](), dict[DeadLetterId, Replay]()
    async for records in batches:
        entries = [read_entry(record) for record in records]
        found += [_small(entry) for entry in entries if isinstance(entry, DeadLetter)]
        found = sorted(found, key=lambda letter: letter.written_ms, reverse=True)[:LAST_LETTERS]
        for marker in entries:
            if isinstance(marker, ReplayMarker) and len(replays) + len(marker.letters) <= _MOST_REPLAYS:
                replays |= dict.fromkeys(marker.letters, Replay(marker.at_ms, marker.operator))
    return LastLetters(found, {each.id: replays[each.id] for each in found if each.id in replays})


def _small(letter: DeadLetter) -> DeadLetter:
    return replace(letter, value=None) if len(letter.value or b"") > KEPT_VALUE_BYTES else letter
