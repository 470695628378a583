"""Notices that Restate does not know `TaskMonitor`: then each attempt of a handler fails at the call, without a word.

Restate ends the attempt in place of an answer, starts it again, and keeps nothing of the call in the journal. So a
handler that comes to the same call again and again, with nothing behind it in the journal, is told apart from one that
is replayed. It gets an error in place of the call, and may do something else then.

A step in the journal marks the decision. A replay meets it in place of the call, and cannot look ahead. The process
that decided knows it; in any other one the call does not match the journal, which fails this attempt, and the next
attempt knows it, too.

A one-way call is left out in the same way, and no error follows. A timer without length marks that decision: it is in
the journal without an await, which a step is not. It stands for all one-way calls up to the handler's next call, so
that a replay elsewhere fails once, however many tasks end there.
"""

from __future__ import annotations

import logging
import math
import time
from collections import OrderedDict
from collections.abc import Callable, Generator
from contextlib import contextmanager
from datetime import timedelta
from typing import Final, TypeVar
from weakref import WeakSet

from restate import Context, RestateDurableFuture, RunOptions, TerminalError
from restate.server_context import ServerInvocationContext

from kallback.sdk.errors import INTERNAL
from kallback.sdk.journal.serdes import StepSerde

Future = TypeVar("Future", bound=RestateDurableFuture[bytes])
Issued = TypeVar("Issued")

_log: Final = logging.getLogger(__name__)
_LEAST_TRIES: Final = 4
_LEAST_SECONDS: Final = 4.0
"""With Restate's default delays (0.5 s, doubled) the invocation ends within 10 s; fewer tries can be chance."""
_MOST_CALLS: Final = 10_000
_SENTENCE: Final = (
    "Restate does not know {}, which task types with heartbeat_every or start_timeout need: serve your "
    "services with callbacks.app([...]) in place of restate.app([...]), and register the deployment again"
)


class UnknownMonitorError(TerminalError):
    """Restate does not know `TaskMonitor`: code 500."""

    def __init__(self, monitor: str) -> None:
        super().__init__(_SENTENCE.format(monitor), INTERNAL)


class CallTries:
    """Counts how often each call was begun in this process, and when first. The latest calls are remembered."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock: Final = clock
        self._calls: Final = OrderedDict[str, tuple[int, float]]()

    def begin(self, call: str) -> bool:
        """Count a try; True if the call was tried so often that it never succeeds."""
        tries, first = self._calls.pop(call, (0, self._clock()))
        self._remember(call, tries + 1, first)
        return self.is_given_up(call)

    def is_given_up(self, call: str) -> bool:
        """Whether the call was tried so often that it never succeeds."""
        tries, first = self._calls.get(call, (0, self._clock()))
        return tries >= _LEAST_TRIES and self._clock() - first >= _LEAST_SECONDS

    def give_up(self, call: str) -> None:
        """The call was given up by another process, as the journal says."""
        self.forget(call)
        self._remember(call, _LEAST_TRIES, -math.inf)

    def forget(self, call: str) -> None:
        """The call is in the journal."""
        self._calls.pop(call, None)

    def _remember(self, call: str, tries: int, first: float) -> None:
        self._calls[call] = (tries, first)
        while len(self._calls) > _MOST_CALLS:
            self._calls.popitem(last=False)


_tries: Final = CallTries()
_silent: Final = WeakSet[Context]()
"""Handlers whose one-way calls are left out."""


async def call_known(ctx: Context, monitor: str, call: str, issue: Callable[[], Future]) -> Future:
    """Issue a call, unless Restate has refused it again and again; `call` names it, the same in each attempt.

    Raises:
        UnknownMonitorError: Restate does not know `TaskMonitor`. The decision is in the journal.
        TerminalError: the invocation was cancelled (409).
    """
    _silent.discard(ctx)
    if isinstance(ctx, ServerInvocationContext) and _never_succeeds(ctx, call):
        error = UnknownMonitorError(monitor)
        if not ctx.vm.is_replaying():  # before the step, behind which an attempt over HTTP/1.1 ends
            _log.error("%s: invocation %s goes on without it", error.message, ctx.request().id)
        with _decided(call):
            await ctx.run_typed(_mark(monitor), _noted, RunOptions(serde=StepSerde[bool](bool)))
        raise error
    return _issue(call, issue)


def send_known(ctx: Context, monitor: str, call: str, issue: Callable[[], object]) -> None:
    """Issue a one-way call; one that Restate has refused again and again is left out. `call` as for `call_known`."""
    if ctx in _silent:
        return
    if isinstance(ctx, ServerInvocationContext) and _never_succeeds(ctx, call):
        is_replayed = ctx.vm.is_replaying()
        with _decided(call):
            ctx.sleep(timedelta(0), _mark(monitor))
        _silent.add(ctx)
        if not is_replayed:
            _log.error(
                "%s: invocation %s does not tell it which tasks end", _SENTENCE.format(monitor), ctx.request().id
            )
        return
    _issue(call, issue)


def _never_succeeds(ctx: ServerInvocationContext, call: str) -> bool:
    if not ctx.vm.is_replaying():
        return _tries.begin(call)
    if _tries.is_given_up(call):
        return True
    _tries.forget(call)
    return False


def _issue(call: str, issue: Callable[[], Issued]) -> Issued:
    try:
        return issue()
    except Exception:  # the journal has something else at this place
        _tries.give_up(call)
        raise


def _mark(monitor: str) -> str:
    """The name of the entry that marks the decision."""
    return f"give up {monitor}"


@contextmanager
def _decided(call: str) -> Generator[None]:
    """Journal the decision in the body. Where the journal has the call after all, the next attempt makes it."""
    try:
        yield
    except TerminalError:
        raise
    except Exception:
        _tries.forget(call)
        raise


async def _noted() -> bool:
    return True
