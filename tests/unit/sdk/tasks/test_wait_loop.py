"""Several tasks in one wait: what one of them waits for holds up no other one."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable
from datetime import timedelta
from typing import Any

import pytest
import restate

from kallback.kafka import OutgoingRecord, Position
from kallback.protocol import KafkaUnavailableError, RetryPolicy, TaskType
from kallback.sdk import TaskError, TaskHandle, TaskNotSent, TaskTimedOut
from kallback.testing import HandlerTest
from kallback.testing.in_memory.clock import START
from kallback.workers import TaskFailure

SECOND, MINUTE, HOUR, DAY = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
AT_ONCE = RetryPolicy(attempts=3, first_delay=timedelta(0))
BROKEN = TaskFailure("OvenBroken", "no gas", retryable=True)
SLOW = TaskType("slow", request=str, result=str, timeout=DAY, retry=AT_ONCE)
WATCHED = TaskType("watched", request=str, result=str, timeout=DAY, retry=AT_ONCE, heartbeat_every=SECOND)
OTHER = TaskType("other", request=str, result=str, timeout=DAY)
RETRIED = TaskType("retried", request=str, result=str, timeout=DAY, retry=AT_ONCE)
BRIEF = TaskType("brief", request=str, result=str, timeout=30 * SECOND)


class Outage:
    """Topics, and requests, that Kafka does not take, or takes once without an acknowledgement."""

    def __init__(self, test: HandlerTest) -> None:
        self.refused = set[str | bytes | None]()
        self.unacknowledged = set[str | bytes | None]()
        self._append = test.broker.append

    def append(self, record: OutgoingRecord) -> Position:
        """As `MemoryBroker.append`."""
        names = {record.topic, record.value}
        if names & self.unacknowledged:
            self.refused |= names & self.unacknowledged
            self.unacknowledged -= names
            self._append(record)
            raise KafkaUnavailableError("no acknowledgement")
        if names & self.refused:
            raise KafkaUnavailableError(f"no leader for {record.topic}")
        return self._append(record)


@pytest.fixture(name="test")
async def started_test() -> AsyncIterator[HandlerTest]:
    """One that is started."""
    async with HandlerTest() as started:
        yield started


@pytest.fixture
def outage(test: HandlerTest, monkeypatch: pytest.MonkeyPatch) -> Outage:
    """None yet."""
    made = Outage(test)
    monkeypatch.setattr(test.broker, "append", made.append)
    return made


async def started(ctx: restate.Context, test: HandlerTest, *types: TaskType[str, str]) -> list[TaskHandle[str]]:
    """A task of each type."""
    return [await test.callbacks.start(ctx, each, each.name) for each in types]


async def caught(work: Awaitable[Any]) -> TaskError:
    """The error with which a task ends."""
    try:
        value = await work
    except TaskError as error:
        return error
    raise AssertionError(f"no error, but {value!r}")


def cancels(test: HandlerTest) -> list[tuple[str, timedelta]]:
    """Why the workers were told to stop, and after which time."""
    return [(str(each.reason), timedelta(seconds=each.at_ms / 1000 - START)) for each in test.cancels]


def absent_soon(test: HandlerTest, outage: Outage, trouble: str) -> TaskType[str, str]:
    """A type whose next attempt waits for Kafka or for `TaskMonitor`, half a second after the start."""
    if trouble == "kafka":
        test.after(SECOND / 2, lambda: outage.refused.add("slow"))
        return SLOW
    test.after(SECOND / 2, lambda: setattr(test.monitor, "available", False))
    return WATCHED


@pytest.mark.parametrize("trouble", ["kafka", "monitor"])
async def test_the_first_result_is_there_when_it_comes(test: HandlerTest, outage: Outage, trouble: str) -> None:
    """The other task waits to be sent again; it is cancelled, and nothing more is sent for it."""
    slow = absent_soon(test, outage, trouble)
    sent = test.worker.on(slow).fails(BROKEN, after=SECOND)
    test.worker.on(OTHER).completes("B3", after=5 * SECOND)

    async def handler(ctx: restate.Context) -> Any:
        handles = await started(ctx, test, slow, OTHER)
        return [*await test.callbacks.first(handles), await caught(handles[0].result())]

    value, error = await test.run(handler)
    assert (value, error.type, test.elapsed) == ("B3", "urn:kallback:cancelled", 5 * SECOND)
    assert (len(sent.tasks), cancels(test)) == (1, [("cancelled", 5 * SECOND)])


@pytest.mark.parametrize("trouble", ["kafka", "monitor"])
async def test_a_deadline_is_acted_on_when_it_passes(test: HandlerTest, outage: Outage, trouble: str) -> None:
    """Its workers are told then, and not when the other task ends."""
    slow = absent_soon(test, outage, trouble)
    test.worker.on(slow).fails(BROKEN, after=SECOND)
    test.worker.on(BRIEF).never_answers()

    async def handler(ctx: restate.Context) -> list[Any]:
        return await test.callbacks.gather(await started(ctx, test, slow, BRIEF), partial=True)

    unsent, late = await test.run(handler)
    assert (type(unsent), type(late)) == (TaskNotSent, TaskTimedOut)
    assert cancels(test) == [("timed-out", 30 * SECOND), ("timed-out", DAY)]


async def test_the_error_of_one_is_raised_when_it_comes(test: HandlerTest, outage: Outage) -> None:
    """The one that waits for Kafka is cancelled."""
    test.after(SECOND / 2, lambda: outage.refused.add("slow"))
    test.worker.on(SLOW).fails(BROKEN, after=SECOND)
    test.worker.on(OTHER).fails(BROKEN, after=5 * SECOND)

    async def handler(ctx: restate.Context) -> TaskError:
        return await caught(test.callbacks.gather(await started(ctx, test, SLOW, OTHER)))

    error = await test.run(handler)
    assert (error.task_type, error.type, test.elapsed) == ("other", "OvenBroken", 5 * SECOND)
    assert cancels(test) == [("cancelled", 5 * SECOND)]


async def test_a_retry_is_sent_when_it_is_due(test: HandlerTest, outage: Outage) -> None:
    """Although the retry of another task cannot be sent for an hour."""
    test.after(SECOND / 2, lambda: outage.refused.add("slow"))
    test.after(HOUR, outage.refused.clear)
    test.worker.on(SLOW).fails(BROKEN, after=SECOND).completes("A1")
    retried = test.worker.on(RETRIED).fails(BROKEN, after=5 * SECOND).completes("B3")
    sent_at: list[timedelta] = []
    test.after(6 * SECOND, lambda: sent_at.extend([test.elapsed] * (len(retried.tasks) - 1)))

    async def handler(ctx: restate.Context) -> list[str]:
        return await test.callbacks.gather(await started(ctx, test, SLOW, RETRIED))

    assert await test.run(handler) == ["A1", "B3"]
    assert sent_at == [6 * SECOND]
    assert HOUR <= test.elapsed <= HOUR + MINUTE


@pytest.mark.parametrize("trouble", ["kafka", "monitor"])
async def test_the_invocations_cancellation_reaches_all(test: HandlerTest, outage: Outage, trouble: str) -> None:
    """The one that waits to be sent again and the one that waits for its result: each is told once."""
    slow = absent_soon(test, outage, trouble)
    test.worker.on(slow).fails(BROKEN, after=SECOND)
    test.worker.on(OTHER).never_answers()

    async def handler(ctx: restate.Context) -> list[str]:
        return await test.callbacks.gather(await started(ctx, test, slow, OTHER))

    with pytest.raises(restate.TerminalError, match="cancelled"):
        await test.run(handler, cancel_after=MINUTE)
    assert cancels(test) == [("cancelled", MINUTE)] * 2
    assert len({each.task_id for each in test.cancels}) == 2


async def test_a_handler_that_waits_again_after_its_cancellation_goes_on(test: HandlerTest, outage: Outage) -> None:
    """What waited to be sent is sent as another attempt: the workers were told of the unacknowledged one."""
    test.after(SECOND / 2, lambda: outage.refused.add("slow"))
    test.after(HOUR, outage.refused.clear)
    slow = test.worker.on(SLOW).fails(BROKEN, after=SECOND).completes("B3")

    async def handler(ctx: restate.Context) -> str:
        (handle,) = await started(ctx, test, SLOW)
        try:
            return await handle.result()
        except restate.TerminalError:
            return await handle.result()

    assert await test.run(handler, cancel_after=MINUTE) == "B3"
    assert [each.headers.attempt for each in slow.tasks] == [1, 3]
    assert [each.attempt for each in test.cancels] == [2]


async def test_tasks_that_were_sent_do_not_wait_for_the_start_of_the_others(test: HandlerTest, outage: Outage) -> None:
    """`start_many` returns when each was sent; until then a failed one is sent again."""
    outage.refused.add(b'"b"')
    test.after(HOUR, outage.refused.clear)
    sent = test.worker.on(RETRIED).fails(BROKEN, after=SECOND).completes("B3")
    before: list[int] = []
    test.after(MINUTE, lambda: before.append(len(sent.tasks)))

    async def handler(ctx: restate.Context) -> list[str]:
        return await test.callbacks.gather(await test.callbacks.start_many(ctx, RETRIED, ["a", "b"]))

    assert await test.run(handler) == ["B3", "B3"]
    assert before == [2]


async def test_a_stale_result_is_followed_at_once_when_results_are_gathered_one_by_one(test: HandlerTest) -> None:
    """The next attempt does not wait for the tasks whose turn comes later."""
    sent = test.worker.on(OTHER).completes("old", after=MINUTE).never_answers()
    before: list[int] = []
    test.after(2 * MINUTE, lambda: before.append(len(sent.tasks)))

    async def earlier(ctx: restate.Context) -> None:
        await test.callbacks.start(ctx, OTHER, "a")

    async def handler(ctx: restate.Context) -> list[Any]:
        handles = await test.callbacks.start_many(ctx, OTHER, ["a", "b"], timeout=HOUR)
        return await test.callbacks.gather(handles, partial=True)

    await test.run(earlier)
    await test.run(handler, repeat_awakeable_ids=True)
    assert [each.headers.attempt for each in sent.tasks] == [1, 1, 1, 2]
    assert before == [4]


async def test_a_result_counts_although_kafka_has_not_acknowledged_its_task(test: HandlerTest, outage: Outage) -> None:
    """The record was written, and the connection to Kafka was lost: the worker knows nothing of that."""
    outage.unacknowledged.add("other")
    test.worker.on(OTHER).completes("B3", after=MINUTE)

    async def handler(ctx: restate.Context) -> str:
        return await test.callbacks.call(ctx, OTHER, "soup")

    assert await test.run(handler) == "B3"
    assert test.elapsed == MINUTE


async def test_many_tasks_start_although_kafka_acknowledges_neither(test: HandlerTest, outage: Outage) -> None:
    """One has its result; the other one, which Kafka never had, is waited for until it is sent."""
    outage.unacknowledged.add(b'"a"')
    outage.refused.add(b'"b"')
    test.after(HOUR, outage.refused.clear)
    sent = test.worker.on(OTHER).completes("B3", after=MINUTE)

    async def handler(ctx: restate.Context) -> list[str]:
        return await test.callbacks.gather(await test.callbacks.start_many(ctx, OTHER, ["a", "b"]))

    assert await test.run(handler) == ["B3", "B3"]
    assert [each.request for each in sent.tasks] == ["a", "b"]


async def test_an_unacknowledged_attempt_that_fails_is_followed_by_the_next_one(
    test: HandlerTest, outage: Outage
) -> None:
    """It was sent, so it counts."""
    outage.unacknowledged.add("retried")
    test.after(HOUR, outage.refused.clear)
    sent = test.worker.on(RETRIED).fails(BROKEN, after=MINUTE).completes("B3")

    async def handler(ctx: restate.Context) -> str:
        return await test.callbacks.call(ctx, RETRIED, "soup")

    assert await test.run(handler) == "B3"
    assert [each.headers.attempt for each in sent.tasks] == [1, 2]


@pytest.mark.parametrize("count", [3, 150])
async def test_results_count_although_acknowledgements_are_lost(
    test: HandlerTest, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    """Of few tasks each is acted on when it comes, of many all of them when the pause before the next step is over."""
    append = test.broker.append

    def lossy(record: OutgoingRecord) -> Position:
        position = append(record)
        if record.topic == OTHER.topic:
            raise KafkaUnavailableError("no acknowledgement")
        return position

    monkeypatch.setattr(test.broker, "append", lossy)
    test.worker.on(OTHER).completes("B3", after=SECOND)

    async def handler(ctx: restate.Context) -> list[str]:
        return await test.callbacks.gather(await test.callbacks.start_many(ctx, OTHER, ["x"] * count))

    assert await test.run(handler) == ["B3"] * count
    assert test.elapsed < MINUTE
