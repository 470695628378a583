"""What was done to many tasks is counted right, wherever it stops."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping, Sequence
from typing import TypeVar

from kallback.cli.tasks.actions import fail_with
from kallback.cli.tasks.bulk import TaskSender
from kallback.kafka import MemoryBroker, MemoryProducer, OutgoingRecord, Position, Record
from kallback.operations import ByHand, PendingTask, TaskFilter, TaskPage, WaitingInvocation
from kallback.protocol import Attempt, Problem, TaskHeaders, TaskId
from kallback.protocol.by_hand import Operator
from kallback.settings import Settings
from kallback.testing import eventually

T = TypeVar("T")
INVOCATION = WaitingInvocation("inv_1", "Shop/order", "Shop/order", "suspended", 0)


def task(number: int) -> PendingTask:
    """One of many."""
    return PendingTask(TaskId(f"{number:016}"), "cook", Attempt(1), Position("cook", 0, number), 0, None, INVOCATION)


class Pending:
    """All of them stay pending; how many are read again at one time is remembered."""

    def __init__(self) -> None:
        self.together: list[int] = []

    async def each(self, _wanted: TaskFilter, /) -> AsyncGenerator[TaskPage]:
        """None is listed."""
        yield TaskPage([], None)

    async def current(self, tasks: Sequence[PendingTask], _wanted: TaskFilter, /) -> list[PendingTask]:
        """All of them."""
        self.together.append(len(tasks))
        return list(tasks)


async def find(positions: Iterable[Position], keep: Callable[[Record], T], /) -> Mapping[Position, T]:
    """Every record is there, with a value that nothing may keep."""
    found = dict[Position, T]()
    for at in positions:
        headers = TaskHeaders("kb1:k:cook:x", task(at.offset).task_id, Attempt(1), "cook", "kallback.results").encode()
        found[at] = keep(Record(at.topic, at.partition, at.offset, 0, None, b"{}", headers))
    return found


class Stopping(MemoryProducer):
    """Kafka acknowledges all but one record."""

    def __init__(self, broker: MemoryBroker, silent: TaskId) -> None:
        super().__init__(broker)
        self._silent = silent
        self.waits = asyncio.Event()

    async def send(self, record: OutgoingRecord) -> Position:
        """Append it, or wait without an end."""
        if record.key == self._silent.encode():
            self.waits.set()
            await asyncio.Event().wait()
        return await super().send(record)


def broker() -> MemoryBroker:
    """With the topic of results."""
    made = MemoryBroker()
    made.create_topic("kallback.results")
    return made


async def test_ctrl_c_leaves_the_counts_right() -> None:
    """What Kafka has is counted; what was on its way may have arrived; the rest was not begun."""
    tasks = [task(number) for number in range(600)]
    producer = Stopping(broker(), tasks[300].task_id)
    sender = TaskSender(find, Settings(), fail_with(Problem()), TaskFilter())

    async def send() -> None:
        async with producer:
            async for _ in sender.results(Pending(), ByHand(producer, Settings(), Operator("ann")), tasks):
                pass

    sending = asyncio.create_task(send())
    await producer.waits.wait()
    await eventually("all but one are sent", lambda: sender.sent == 499)
    sending.cancel()
    await asyncio.wait([sending])
    assert sender.total(600) == "Failed 499 of 600 tasks; 1 more may have arrived: see kallback tasks list."


async def test_some_hundreds_are_read_again_and_sent_together() -> None:
    """All at once would take memory without a bound, one by one a question to Restate for each."""
    pending, made = Pending(), broker()
    sender = TaskSender(find, Settings(), fail_with(Problem()), TaskFilter())
    async with MemoryProducer(made) as producer:
        by_hand = ByHand(producer, Settings(), Operator("ann"))
        results = [each async for each in sender.results(pending, by_hand, [task(number) for number in range(600)])]
    assert pending.together == [250, 250, 100]
    assert [result.task.task_id for result in results] == [task(number).task_id for number in range(600)]
    assert (sender.sent, sender.done, len(made.records("kallback.results"))) == (600, 600, 600)
