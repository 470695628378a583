"""One asyncio task at a time: keeps natural Python from stopping a handler.

Restate's SDK gives each message of the server to one waiting asyncio task. With two that wait, the one that a message
is for may not see it, and waits on. And a handler must send its commands in the same order when it is replayed, which
asyncio tasks do not. So a call from another task than the handler's (`asyncio.gather`, `TaskGroup`, `create_task`,
`wait_for`), or from inside `ctx.run`, ends the invocation at once with an error that names what to use.

The handler cannot do anything after that, not even compensate: its other asyncio tasks may be on their way, so what it
would journal has no order that a replay repeats. The error says so.

Results of tasks that were started, and of awakeables, may be awaited in other asyncio tasks: these waits take turns.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from types import CodeType, FrameType
from typing import Any, Final, NoReturn, TypeVar
from weakref import WeakKeyDictionary, WeakSet

from restate import Context, TerminalError
from restate.server_context import ServerInvocationContext
from restate.vm import Failure

from kallback.sdk.errors import BAD_REQUEST

_NO_COMPENSATION: Final = "The invocation ended here, so no compensation in the handler has run"
_NO_HANDLER: Final = (
    "{} is called with a {} for ctx, and not by a handler that Restate runs: in a test, write "
    "await test.run(handler, argument), where test is a HandlerTest"
)
Value = TypeVar("Value")

_turns: Final[WeakKeyDictionary[Context, asyncio.Lock]] = WeakKeyDictionary()
_ended: Final[WeakSet[Context]] = WeakSet()
_REMEDY: Final = (
    "For many tasks at once use callbacks.start_many and callbacks.gather, and for a limit in time the argument "
    "timeout, in place of asyncio.gather, TaskGroup, create_task and wait_for"
)


def check_called_by_handler(ctx: Context, what: str) -> None:
    """Refuse a call that the handler does not await itself, or while another asyncio task waits for a result.

    Raises:
        TerminalError: code 400.
    """
    caller = _caller()
    if caller is None and not isinstance(ctx, ServerInvocationContext):
        raise TerminalError(_NO_HANDLER.format(what, type(ctx).__name__), BAD_REQUEST)
    if caller is not _HANDLER:
        _refuse(ctx, caller, f"{what} is awaited {'inside ctx.run' if caller is _STEP else 'in another asyncio task'}")
    elif ctx in _turns and _turns[ctx].locked():
        _refuse(ctx, caller, f"{what} is awaited while another asyncio task waits for a result")


@asynccontextmanager
async def turn(ctx: Context, what: str) -> AsyncGenerator[None]:
    """Wait for the turn to use a context, in the order of the calls.

    Raises:
        TerminalError: it is awaited inside `ctx.run` (400).
    """
    caller = _caller()
    if caller is _STEP:
        _refuse(ctx, caller, f"{what} is awaited inside ctx.run")
    async with _turns.setdefault(ctx, asyncio.Lock()):
        yield


def _refuse(ctx: Context, caller: str | None, sentence: str) -> NoReturn:
    """End with a terminal error.

    In `ctx.run` the step fails, and so does the handler. Elsewhere the invocation ends here: the handler may never look
    at the task, and Restate retries a handler that ends with an `ExceptionGroup`.
    """
    ends = caller is not _STEP and isinstance(ctx, ServerInvocationContext)
    then = f". {_NO_COMPENSATION}" if ends else ""
    text = f"{sentence}, so it could wait without end: await it in the handler. {_REMEDY}{then}"
    error = TerminalError(text, BAD_REQUEST)
    if ends and isinstance(ctx, ServerInvocationContext):
        _end_invocation(ctx, error)
    raise error


def _end_invocation(ctx: ServerInvocationContext, error: TerminalError) -> None:
    """End the invocation with this error, whatever the handler does with it; nothing that follows is journaled."""
    if ctx not in _ended:
        _ended.add(ctx)
        ctx.vm.sys_write_output_failure(Failure(error.status_code, error.message))
        ctx.vm.sys_end()  # type: ignore[no-untyped-call]  # it has no annotation


async def as_handler(work: Awaitable[Value]) -> Value:
    """Await a handler where no server does, for tests."""
    return await work


def _code_of(function: Callable[..., Any]) -> CodeType:
    return function.__code__


_HANDLER: Final = "handler"
_STEP: Final = "step"
_ROOTS: Final[dict[CodeType, str]] = {
    _code_of(ServerInvocationContext.enter): _HANDLER,
    _code_of(as_handler): _HANDLER,
    _code_of(ServerInvocationContext.create_run_coroutine): _STEP,
    _code_of(asyncio.wait_for): "wait_for",
}


def _caller() -> str | None:
    """What awaits this call, looked up in the stack: a task of asyncio's own has a stack of its own."""
    frame: FrameType | None = inspect.currentframe()
    while frame is not None:
        caller = _ROOTS.get(frame.f_code)
        if caller is not None:
            return caller
        frame = frame.f_back
    return None
