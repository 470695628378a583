"""Results that wait for Kafka's acknowledgement give their slots to other tasks, within bounds."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from kallback.kafka import MemoryProducer
from kallback.workers.attempts.results import ResultPublisher
from kallback.workers.intake.crash_guard import CrashGuard
from kallback.workers.intake.unacknowledged import UnacknowledgedResults

if TYPE_CHECKING:
    from tests.unit.workers.environment import Order, Prepared, WorkerEnv

    from kallback.kafka import OutgoingRecord, Position
    from kallback.protocol import TaskHeaders
    from kallback.workers.attempts.results import Published, Reply, Undeliverable


@pytest.fixture
def acknowledged(env: WorkerEnv, monkeypatch: pytest.MonkeyPatch) -> asyncio.Event:
    """Kafka takes no result before this is set."""
    event, send = asyncio.Event(), MemoryProducer.send

    async def wait(self: MemoryProducer, record: OutgoingRecord) -> Position:
        if record.topic == env.topics.results:
            await event.wait()
        return await send(self, record)

    monkeypatch.setattr(MemoryProducer, "send", wait)
    return event


async def turns() -> None:
    """Give the loop more turns than anything takes that is under way."""
    for _ in range(200):
        await asyncio.sleep(0)


async def test_the_next_task_does_not_wait_for_kafka(env: WorkerEnv, acknowledged: asyncio.Event) -> None:
    """The slot is free when the function has returned; no offset is done before its result is acknowledged."""
    worker = env.worker(concurrency=1)
    done = env.cook(worker)
    for number in range(5):
        env.send(f"t{number}")
    async with worker:
        await env.until(lambda: len(done) == 5, "all functions")
        await env.clients.consumers[0].commit()
        assert (env.committed(), env.results()) == (0, [])
        acknowledged.set()
        await env.settled(5)

    assert worker.counts.completed == 5


async def test_an_outage_of_kafka_ends_the_fetching(env: WorkerEnv, acknowledged: asyncio.Event) -> None:
    """Beyond the bound a result keeps its slot."""
    worker = env.worker(concurrency=2, unacknowledged=3)
    done = env.cook(worker)
    for number in range(20):
        env.send(f"t{number}")
    async with worker:
        await env.until(lambda: len(done) == 5, "as many as are allowed")
        await turns()
        assert (len(done), env.clients.consumers[0].unfinished()) == (5, 5)
        acknowledged.set()
        await env.settled(20)


async def test_without_the_allowance_each_task_waits(env: WorkerEnv, acknowledged: asyncio.Event) -> None:
    """As for those who want no more than `concurrency` tasks that a crash repeats."""
    worker = env.worker(concurrency=2, unacknowledged=0)
    done = env.cook(worker)
    for number in range(4):
        env.send(f"t{number}")
    async with worker:
        await env.until(lambda: len(done) == 2, "the first two")
        await turns()
        assert len(done) == 2
        acknowledged.set()
        await env.settled(4)


async def test_the_next_of_a_key_waits_for_kafka(env: WorkerEnv, acknowledged: asyncio.Event) -> None:
    """Otherwise a crash would repeat an earlier one after a later one; other keys go on."""
    worker, done = env.worker(), list[str]()

    @worker.task(env.prepare, ordered=True)
    async def cook(order: Any) -> Any:
        done.append(order.dish)
        return env.prepared_type(order.dish)

    for dish, key in (("a1", b"a"), ("a2", b"a"), ("b1", b"b")):
        env.send(dish, f'{{"dish":"{dish}"}}'.encode(), key=key)
    async with worker:
        await env.until(lambda: len(done) == 2, "one of each key")
        await turns()
        assert done == ["a1", "b1"]
        acknowledged.set()
        await env.settled(3)

    assert done == ["a1", "b1", "a2"]


async def test_a_stop_waits_for_the_acknowledgements(env: WorkerEnv, acknowledged: asyncio.Event) -> None:
    """What gave its slot back is in flight all the same."""
    worker = env.worker(concurrency=1)
    done = env.cook(worker)
    for number in range(3):
        env.send(f"t{number}")
    await worker.start()
    await env.until(lambda: len(done) == 3, "all functions")
    stopping = asyncio.create_task(worker.stop())
    await turns()
    assert not stopping.done()
    acknowledged.set()
    await stopping

    assert (env.committed(), len(env.results())) == (3, 3)


async def test_a_result_that_is_not_acknowledged_at_the_end_comes_again(
    env: WorkerEnv, acknowledged: asyncio.Event
) -> None:
    """The next worker does the task once more: no offset was done."""
    worker = env.worker(concurrency=1, drain_timeout=0)
    done = env.cook(worker)
    for number in range(3):
        env.send(f"t{number}")
    async with worker:
        await env.until(lambda: len(done) == 3, "all functions")
    assert (env.committed(), env.results()) == (0, [])

    acknowledged.set()
    successor = env.worker(concurrency=1)
    again = env.cook(successor)
    async with successor:
        await env.settled(3)
    assert again == done


async def test_an_error_of_the_worker_while_it_publishes_costs_no_slot(
    env: WorkerEnv, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The task begins again; its slot was given back once."""
    publish, failures = ResultPublisher.publish, list[str]()

    async def fail_at_first(self: ResultPublisher, headers: TaskHeaders, reply: Reply) -> Published | Undeliverable:
        if len(failures) < 3:
            failures.append(headers.task_id)
            raise AssertionError("a defect of the worker")
        return await publish(self, headers, reply)

    monkeypatch.setattr(ResultPublisher, "publish", fail_at_first)
    worker = env.worker(concurrency=1)
    done = env.cook(worker)
    for number in range(4):
        env.send(f"t{number}")
    async with worker:
        await env.settled(4)
        assert worker.counts.retried == 3

    assert (len(failures), sorted(set(done)), len(env.results())) == (3, ["t0", "t1", "t2", "t3"], 4)


def test_results_are_bounded_by_their_bytes_too() -> None:
    """One that does not fit keeps its slot, a smaller one behind it does not."""
    unacknowledged = UnacknowledgedResults(most=10, most_bytes=100)
    assert [unacknowledged.try_add(size) for size in (60, 50, 40, 1)] == [True, False, True, False]
    unacknowledged.remove(40)
    assert unacknowledged.try_add(40)
    assert len(unacknowledged) == 2


async def test_the_crash_guard_hears_of_each_end_once(env: WorkerEnv, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the function ends: the wait for Kafka is no time in which a process could have died of the record."""
    heard = list[int]()
    monkeypatch.setattr(CrashGuard, "ended", lambda _self, record, _seconds: heard.append(record.offset))
    worker = env.worker()

    @worker.task(env.prepare)
    async def prepare(order: Order) -> Prepared:
        return env.prepared_type(order.dish)

    env.send("only")
    async with worker:
        await env.settled(1)
    assert heard == [0]
