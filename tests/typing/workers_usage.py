"""kallback.workers as users write it; type checkers read this file, nothing runs it."""

from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import NoneType
from typing import Any, assert_type

from kallback.protocol import TaskType
from kallback.workers import Acknowledge, Client, Executor, StopReason, TaskContext, TaskFailure, Worker, WorkerOptions


@dataclass
class Order:
    """What is asked for."""

    dish: str


@dataclass
class Prepared:
    """What comes back."""

    dish: str


prepare = TaskType("restaurant.prepare", request=Order, result=Prepared)
notify = TaskType("restaurant.notify", request=Order, result=NoneType)
worker = Worker("kitchen", options=WorkerOptions(concurrency=4, drain_timeout=10))


@worker.task(prepare)
async def cook(order: Order, task: TaskContext) -> Prepared:
    """A coroutine with the context."""
    assert_type(task.deadline, datetime | None)
    assert_type(task.time_left(), float | None)
    assert_type(task.cancelled, bool)
    assert_type(task.stop_reason, StopReason | None)
    if not order.dish:
        raise TaskFailure("OutOfStock", "no dish", status=422, retryable=False, shelf=3)
    return Prepared(order.dish)


assert_type(cook, Callable[[Order, TaskContext], Coroutine[Any, Any, Prepared]])


@worker.task(prepare)
async def cook_alone(order: Order) -> Prepared:
    """A coroutine without the context."""
    return Prepared(order.dish)


assert_type(cook_alone, Callable[[Order], Coroutine[Any, Any, Prepared]])


@worker.task(prepare)
def cook_in_thread(order: Order, task: TaskContext) -> Prepared:
    """A plain function with the context."""
    return Prepared(f"{order.dish} {task.attempt}")


assert_type(cook_in_thread, Callable[[Order, TaskContext], Prepared])


@worker.task(prepare)
def cook_simply(order: Order) -> Prepared:
    """A plain function without the context."""
    return Prepared(order.dish)


assert_type(cook_simply, Callable[[Order], Prepared])


@worker.task(notify)
async def ring(order: Order) -> None:
    """Work without a result."""
    order.dish += "!"


render = TaskType("restaurant.render", request=Order, result=Prepared, heartbeat_every=timedelta(seconds=10))


@worker.task(render, executor="process", concurrency=2, ordered=True, acknowledge="start")
def render_menu(order: Order, task: TaskContext) -> Prepared:
    """A plain function for a child process."""
    done = task.last_details or {"pages": 0}
    while not task.cancelled:
        task.heartbeat(done)
    return Prepared(order.dish)


assert_type(render_menu, Callable[[Order, TaskContext], Prepared])
worker.task(prepare, executor=Executor.LOOP, acknowledge=Acknowledge.RESULT)(cook)
worker.task(prepare, executor="fiber")(cook)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType] - must not pass
Worker("kitchen", client="confluent").use_client(Client.AIOKAFKA)
Worker("kitchen", client="kafka-python")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType] - must not pass


async def wrong_result(order: Order) -> str:
    """Return another type than declared."""
    return order.dish


async def wrong_request(text: str) -> Prepared:
    """Take another type than declared."""
    return Prepared(text)


worker.task(prepare)(wrong_result)  # type: ignore[arg-type]  # pyright: ignore[reportCallIssue, reportArgumentType] - must not pass
worker.task(prepare)(wrong_request)  # type: ignore[arg-type]  # pyright: ignore[reportCallIssue, reportArgumentType] - must not pass


async def test_of_a_user() -> None:
    """A registered function is called as it stands, with a context of one's own."""
    assert_type(await cook(Order("soup"), TaskContext("t1")), Prepared)
    async with worker as running:
        assert_type(running, Worker)
    await worker.run()
