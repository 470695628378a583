"""`run_task`: one worker function on one task, and what a real worker would publish for the same."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import orjson
import pytest

from kallback.kafka import MemoryBroker, MemoryClients, OutgoingRecord, Record
from kallback.protocol import Attempt, ConfigurationError, EncodeError, TaskHeaders, TaskId, TaskType
from kallback.settings import Settings, Topics
from kallback.testing import eventually, run_task
from kallback.workers import StopReason, TaskContext, TaskFailure, Worker


@dataclass
class Order:
    """What is asked for."""

    dish: str


@dataclass
class Prepared:
    """What comes back."""

    shelf: str


PREPARE = TaskType("prepare", request=Order, result=Prepared)


async def completes(order: Order) -> Prepared:
    """On the loop."""
    return Prepared(order.dish)


def completes_in_a_thread(order: Order, task: TaskContext) -> Prepared:
    """In a thread."""
    return Prepared(f"{order.dish} {task.attempt}")


async def fails(order: Order) -> Prepared:
    """With a failure of its own."""
    raise TaskFailure("OutOfStock", f"no {order.dish}", status=422, retryable=False, ingredient="basil")


async def breaks(order: Order) -> Prepared:
    """With an exception that nobody expected."""
    raise KeyError(order.dish)


async def misfits(_: Order) -> Any:
    """With a value that is no result."""
    return {"room": 7}


async def leaves(_: Order) -> Prepared:
    """By the wrong door."""
    raise SystemExit(3)


async def published(function: Any) -> Record:
    """What a real worker publishes."""
    broker, topics = MemoryBroker(), Topics()
    for topic in (PREPARE.topic, *topics.all()):
        broker.create_topic(topic)
    worker = Worker("kitchen", settings=Settings(topics=topics), kafka=MemoryClients(broker))
    worker.task(PREPARE)(function)
    headers = TaskHeaders("kb1:t", TaskId("task-1"), Attempt(1), "prepare", topics.results)
    broker.append(OutgoingRecord(PREPARE.topic, b'{"dish":"soup"}', None, headers.encode()))
    async with worker:
        await eventually("a result", lambda: broker.records(topics.results), interval=0.002)
    [record] = broker.records(topics.results)
    return record


def worker_of(function: Any, **options: Any) -> Worker:
    """A worker with one function."""
    worker = Worker("kitchen")
    worker.task(PREPARE, **options)(function)
    return worker


@pytest.mark.parametrize("function", [completes, completes_in_a_thread])
async def test_it_returns_what_a_real_worker_publishes(function: Any) -> None:
    """The result, byte for byte."""
    run = await run_task(worker_of(function), PREPARE, Order("soup"))

    assert PREPARE.result_codec.encode(run.result) == (await published(function)).value


@pytest.mark.parametrize("function", [fails, breaks, misfits, leaves])
async def test_it_raises_what_a_real_worker_publishes(function: Any) -> None:
    """The failure, member for member."""
    with pytest.raises(TaskFailure) as caught:
        await run_task(worker_of(function), PREPARE, Order("soup"))

    assert orjson.loads(caught.value.problem.encode()) == orjson.loads((await published(function)).value or b"")


async def test_the_cause_of_a_failure_is_the_exception() -> None:
    """Its traceback is what a developer needs."""
    with pytest.raises(TaskFailure) as caught:
        await run_task(worker_of(breaks), PREPARE, Order("soup"))

    assert isinstance(caught.value.__cause__, KeyError)


async def test_heartbeats_are_collected_in_order() -> None:
    """As the caller would read them: JSON values."""

    async def cook(_: Order, task: TaskContext) -> Prepared:
        task.heartbeat((1, 2))
        task.heartbeat()
        return Prepared("B3")

    assert (await run_task(worker_of(cook), PREPARE, Order("soup"))).heartbeats == ([1, 2], None)


async def test_a_later_attempt_gets_the_details_of_the_one_before() -> None:
    """And its number, its task id, its time."""
    seen: list[Any] = []

    async def cook(_: Order, task: TaskContext) -> Prepared:
        seen.extend((task.attempt, task.last_details, task.task_id, round(task.time_left() or 0, -1)))
        return Prepared("B3")

    await run_task(
        worker_of(cook),
        PREPARE,
        Order("soup"),
        attempt=2,
        last_details={"baked": 1},
        task_id="t9",
        timeout=timedelta(minutes=1),
    )

    assert seen == [2, {"baked": 1}, "t9", 60]


async def test_a_function_of_kind_process_runs_in_a_thread_here() -> None:
    """So it may be a closure's neighbour, and is debugged as any other."""
    assert (await run_task(worker_of(in_a_process, kind="process"), PREPARE, Order("soup"))).result == Prepared("here")


def in_a_process(_: Order) -> Prepared:
    """Say whether this is the test's process."""
    return Prepared("here" if threading.main_thread() is not threading.current_thread() else "main thread")


async def test_cancelling_it_cancels_the_function() -> None:
    """Nothing goes on after a test."""
    began, reasons = asyncio.Event(), list[StopReason | None]()

    async def cook(_: Order, task: TaskContext) -> Prepared:
        began.set()
        try:
            await asyncio.Event().wait()
        finally:
            reasons.append(task.stop_reason)
        return Prepared("B3")

    running = asyncio.create_task(run_task(worker_of(cook), PREPARE, Order("soup")))
    await began.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running

    assert reasons == [StopReason.CANCELLED]


async def test_a_request_of_the_wrong_type_is_refused() -> None:
    """As the sdk does before it sends."""
    wrong: Any = {"dosh": 1}
    with pytest.raises(EncodeError):
        await run_task(worker_of(completes), PREPARE, wrong)


async def test_a_type_without_a_function_is_named() -> None:
    """The error says what to register."""
    with pytest.raises(ConfigurationError, match="prepare"):
        await run_task(Worker("kitchen"), PREPARE, Order("soup"))
