"""Handlers that run with `HandlerTest` and on real servers, and the worker that answers them in both."""

from __future__ import annotations

from collections.abc import Awaitable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

import restate
from msgspec import to_builtins

from kallback.protocol import Problem, RetryPolicy, TaskType
from kallback.sdk import Callbacks, TaskError
from kallback.workers import TaskContext, TaskFailure, Worker

SECOND: Final = timedelta(seconds=1)
Order = dict[str, Any]


class Types:
    """The task types of one run."""

    def __init__(self, topic: str) -> None:
        self.plain = _type("plain", topic)
        self.retried = _type("retried", topic, retry=RetryPolicy(attempts=3, first_delay=SECOND / 10))
        self.silent = _type("silent", topic, timeout=8 * SECOND)
        self.slow = _type("slow", topic, attempt_timeout=5 * SECOND)
        self.held = _type("held", topic)
        self.watched = _type("watched", topic, heartbeat_every=SECOND, retry=RetryPolicy(first_delay=SECOND / 10))

    def answered(self) -> list[TaskType[Order, str]]:
        """Those that the worker answers."""
        return [self.plain, self.retried, self.watched]

    def unanswered(self) -> list[TaskType[Order, str]]:
        """Those that have no answer in time."""
        return [self.silent, self.slow, self.held]


def _type(name: str, topic: str, **limits: Any) -> TaskType[Order, str]:
    return TaskType(f"{topic}.{name}", Order, str, topic=topic, **{"timeout": timedelta(minutes=1)} | limits)


def work(order: Order, task: TaskContext) -> Any:
    """Do as the order says."""
    if task.attempt < order.get("from_attempt", 1):
        if "heartbeat" in order:
            task.heartbeat(order["heartbeat"])
        raise TaskFailure("NotYet", "come again", status=503)
    if "raise" in order:
        raise RuntimeError(order["raise"])
    if "fail" in order:
        raise TaskFailure(order["fail"], "as asked", status=422, shelf="B3")
    if order.get("report_details"):
        return f"went on at {task.last_details}"
    return order.get("value", "done")


def register(worker: Worker, types: Types) -> None:
    """Answer all that has an answer; hold the rest."""
    for each in types.answered():
        worker.task(each)(work)


async def outcome(asked: Awaitable[Any]) -> Any:
    """The value, or what the handler sees of the error; task ids and times differ from run to run."""
    try:
        return to_builtins(await asked)
    except restate.TerminalError as error:
        return seen(error)


def seen(error: BaseException) -> dict[str, Any]:
    """What a handler can act on."""
    told = {"kind": type(error).__name__, "code": getattr(error, "status_code", None)}
    if isinstance(error, TaskError):
        told |= {"type": error.type, "attempt": error.attempt, "extensions": dict(error.problem.extensions)}
        told |= {"metadata": sorted(error.metadata or {})}
    return told


@dataclass
class Cases:
    """Handlers by name; each returns something to compare."""

    ctx: restate.Context
    callbacks: Callbacks
    types: Types

    async def ask(self, task_type: TaskType[Order, str], **order: Any) -> Any:
        """Call one task."""
        return await outcome(self.callbacks.call(self.ctx, task_type, order))

    async def a_result(self) -> Any:
        """The plain case."""
        return await self.ask(self.types.plain, value="B3 🧀")

    async def a_failure(self) -> Any:
        """With a type, a code and a member of its own."""
        return await self.ask(self.types.plain, fail="OutOfStock")

    async def an_unexpected_error(self) -> Any:
        """Of the worker's function."""
        problem = await self.ask(self.types.plain, **{"raise": "broken"})
        return problem | {"extensions": sorted(problem["extensions"])}

    async def a_value_of_the_wrong_type(self) -> Any:
        """Refused where it is made."""
        return await self.ask(self.types.plain, value=7)

    async def a_null(self) -> Any:
        """For a type that takes none."""
        return await self.ask(self.types.plain, value=None)

    async def a_request_of_the_wrong_type(self) -> Any:
        """Refused before it is sent."""
        wrong: Any = "text"
        return await outcome(self.callbacks.call(self.ctx, self.types.plain, wrong))

    async def a_retry(self) -> Any:
        """The third attempt has a result."""
        return await self.ask(self.types.retried, from_attempt=3)

    async def retries_that_end(self) -> Any:
        """The last failure counts."""
        return await self.ask(self.types.retried, from_attempt=9)

    async def a_failure_that_is_not_retried(self) -> Any:
        """4xx is the request's fault."""
        return await self.ask(self.types.retried, fail="OutOfStock")

    async def last_details(self) -> Any:
        """The next attempt gets them."""
        return await self.ask(self.types.watched, from_attempt=2, heartbeat={"done": 3}, report_details=True)

    async def a_deadline(self) -> Any:
        """Of the task."""
        return await self.ask(self.types.silent)

    async def a_deadline_of_an_attempt(self) -> Any:
        """Of a type without retries."""
        return await self.ask(self.types.slow)

    async def a_cancel_by_the_handler(self) -> Any:
        """The handle ends."""
        handle = await self.callbacks.start(self.ctx, self.types.held, {})
        await handle.cancel()
        return await outcome(handle.result())

    async def progress_of_no_task(self) -> Any:
        """It is not known."""
        return await outcome(self.callbacks.progress(self.ctx, "A" * 16))

    async def many(self) -> Any:
        """Values and errors in the order of the requests."""
        orders: list[Order] = [{"value": "a"}, {"fail": "OutOfStock"}, {"value": "c"}]
        handles = await self.callbacks.start_many(self.ctx, self.types.plain, orders)
        results = await self.callbacks.gather(handles, partial=True)
        return [seen(it) if isinstance(it, TaskError) else it for it in results]

    async def many_with_an_error(self) -> Any:
        """The first error is raised."""
        handles = await self.callbacks.start_many(self.ctx, self.types.plain, [{"fail": "OutOfStock"}])
        return await outcome(self.callbacks.gather(handles))

    async def the_first_of_many(self) -> Any:
        """Only one has an answer."""
        quick = await self.callbacks.start(self.ctx, self.types.plain, {"value": "quick"})
        slow = await self.callbacks.start(self.ctx, self.types.held, {})
        return await outcome(self.callbacks.first([slow, quick]))

    async def an_awakeable(self) -> Any:
        """Completed by its token."""
        waiting = await self.callbacks.awakeable(self.ctx, self.types.plain)
        self.callbacks.complete(self.ctx, waiting.token, "approved")
        return await outcome(waiting.result())

    async def a_failed_awakeable(self) -> Any:
        """Failed by its token."""
        waiting = await self.callbacks.awakeable(self.ctx, self.types.plain)
        self.callbacks.fail(self.ctx, waiting.token, Problem("Refused", 422))
        return await outcome(waiting.result())

    async def an_awakeable_that_waits_too_long(self) -> Any:
        """Its own timeout."""
        waiting = await self.callbacks.awakeable(self.ctx, self.types.plain, timeout=SECOND)
        return await outcome(waiting.result())

    async def a_cancelled_invocation(self) -> Any:
        """A 409 where the handler waits; it may journal more."""
        try:
            return await self.callbacks.call(self.ctx, self.types.held, {})
        except restate.TerminalError as error:
            told = seen(error)
            return await self.ctx.run_typed("note", lambda: told)


def names() -> list[str]:
    """The cases that need nothing from outside."""
    handlers = {name for name, member in vars(Cases).items() if callable(member) and not name.startswith("_")}
    return sorted(handlers - {"ask", "a_cancelled_invocation"})
