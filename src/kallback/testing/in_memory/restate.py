"""An in-memory Restate: it replaces the native state machine of the SDK.

Everything above it is the SDK's own code: contexts, durable futures, `select`, `gather`, `wait_completed`. The state
machine keeps the result of each handle. There is no journal and no replay: a handler runs once, from its start to its
end, so a handler that is not deterministic is not detected here.

A call that is not simulated raises `NotSimulatedError` with the name of the call.
"""

from __future__ import annotations

import base64
import itertools
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from restate import TerminalError
from restate.vm import (
    DO_PROGRESS_ANY_COMPLETED,
    DO_PROGRESS_CANCEL_SIGNAL_RECEIVED,
    DO_PROGRESS_WAIT_EXTERNAL_PROGRESS,
    NOT_READY,
    AllCompletedUnresolvedFuture,
    DoProgressExecuteRun,
    DoProgressResult,
    Failure,
    FirstCompletedUnresolvedFuture,
    NotificationType,
    Run,
    RunRetryConfig,
    UnresolvedFuture,
)

from kallback.testing.errors import NotSimulatedError
from kallback.testing.in_memory.clock import VirtualTime
from kallback.testing.in_memory.monitor import SimulatedMonitor
from kallback.testing.in_memory.promises import SimulatedPromises

Calls = dict[tuple[str, str], Callable[[bytes], bytes]]
"""What other Restate handlers answer, by service and handler."""

_STEP_TRIES: Final = 70
"""As often as Restate tries an invocation before it pauses it."""
_INVOCATION_ID_BYTES: Final = 24
INVOCATION_ID: Final = "inv_test"
"""What the handler that runs finds in `ctx.request().id`."""
_RESERVED_SIGNALS: Final = 16


class Resources(NamedTuple):
    """What machines of one test share.

    Attributes:
        monitor: answers for `TaskMonitor`.
        state: of the virtual object or workflow, as JSON by name.
        sent: one-way calls: service, handler, argument.
        promises: of the workflow.
        cancelled: ids of invocations that handlers cancelled.
    """

    time: VirtualTime
    monitor: SimulatedMonitor
    calls: Calls
    state: dict[str, bytes]
    sent: list[tuple[str, str, bytes]]
    promises: SimulatedPromises
    cancelled: list[str]


class CallHandles(NamedTuple):
    """The two handles of a call."""

    result_handle: int
    invocation_id_handle: int


class InMemoryRestate:
    """The machine of one invocation; the names of its methods are the SDK's (`restate.vm.VMWrapper`)."""

    def __init__(self, resources: Resources, number: int) -> None:
        self.awakeables: Final[dict[str, int]] = {}
        self._number: Final = number
        self.running = 0
        self._resources: Final = resources
        self._handles: Final = itertools.count(1)
        self._completed: Final[dict[int, NotificationType]] = {}
        self._taken: Final[set[int]] = set()
        self._steps: Final[dict[int, str]] = {}
        self._failed: Final[dict[int, int]] = {}
        self._cancelled = False
        self.failure: TerminalError | None = None

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        raise NotSimulatedError(
            f"the handler test does not simulate {name.removeprefix('sys_')}: test it on a real Restate"
        )

    # What the test does.

    def complete(self, handle: int, value: NotificationType) -> None:
        """Let a handle be completed; only the first completion counts."""
        if handle not in self._taken:
            self._completed.setdefault(handle, value)

    def cancel(self) -> None:
        """Cancel the invocation: whatever it waits for next raises 409, once."""
        self._cancelled = True

    def again(self, handle: int) -> bool:
        """Whether a step failed and is to be tried once more."""
        return handle in self._failed and handle not in self._completed and handle not in self._taken

    # What the SDK asks.

    def is_replaying(self) -> bool:
        """There is no replay."""
        return False

    def take_output(self) -> bytes:
        """Nothing goes to a server."""
        return b""

    def is_completed(self, handle: int) -> bool:
        """Whether a handle is completed and was not taken."""
        return handle in self._completed

    def take_notification(self, handle: int) -> NotificationType:
        """Hand out what a handle came to."""
        if handle not in self._completed:
            return NOT_READY
        self._taken.add(handle)
        return self._completed.pop(handle)

    def do_progress(self, unresolved: UnresolvedFuture) -> DoProgressResult:
        """Say what the SDK has to do next."""
        if self.failure is not None:
            raise self.failure
        if self._cancelled:
            self._cancelled = False
            return DO_PROGRESS_CANCEL_SIGNAL_RECEIVED
        if self._is_resolved(unresolved):
            return DO_PROGRESS_ANY_COMPLETED
        for handle in _leaves(unresolved):
            if handle in self._steps:
                del self._steps[handle]
                self.running += 1
                return DoProgressExecuteRun(handle)  # type: ignore[no-untyped-call]  # its parameter has no annotation
        return DO_PROGRESS_WAIT_EXTERNAL_PROGRESS

    def sys_run(self, name: str) -> Run:
        """A journaled step."""
        handle = next(self._handles)
        self._steps[handle] = name
        return Run(replayed=False, handle=handle)

    def propose_run_completion_success(self, handle: int, output: bytes) -> None:
        """A step returned."""
        self.complete(handle, output)

    def propose_run_completion_failure(self, handle: int, output: Failure) -> None:
        """A step raised a terminal error."""
        self.complete(handle, output)

    def propose_run_completion_transient(
        self, handle: int, failure: Failure, attempt_duration_ms: int, config: RunRetryConfig
    ) -> None:
        """A step raised something else: it is tried again at once, as often as it may."""
        del attempt_duration_ms
        self._try_again(handle, failure, config.max_attempts)

    def propose_run_completion_transient_with_delay_override(
        self, handle: int, failure: Failure, max_retry_attempts_override: int | None = None, **_: object
    ) -> None:
        """A step raised `RetryableError`: tried again at once as well."""
        self._try_again(handle, failure, max_retry_attempts_override)

    def sys_sleep(self, millis: int, _name: str | None = None) -> int:
        """A durable timer."""
        handle = next(self._handles)
        self._resources.time.after(millis / 1000, lambda: self.complete(handle, None))
        return handle

    def sys_awakeable(self) -> tuple[str, int]:
        """An awakeable. Its id has Restate's form, and follows from the invocation, as in Restate."""
        handle = next(self._handles)
        signal = _RESERVED_SIGNALS + len(self.awakeables) + 1
        raw = self._number.to_bytes(_INVOCATION_ID_BYTES, "big") + signal.to_bytes(4, "big")
        name = "sign_1" + base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
        self.awakeables[name] = handle
        return name, handle

    def sys_resolve_awakeable(self, name: str, value: bytes) -> None:
        """Resolve an awakeable of this invocation."""
        self.complete(self._awakeable(name), value)

    def sys_reject_awakeable(self, name: str, failure: Failure) -> None:
        """Reject an awakeable of this invocation."""
        self.complete(self._awakeable(name), failure)

    def sys_get_promise(self, name: str) -> int:
        """The value of a promise, once it has one."""
        handle = next(self._handles)
        self._resources.promises.get(name, lambda value: self.complete(handle, value))
        return handle

    def sys_peek_promise(self, name: str) -> int:
        """The value of a promise, or nothing."""
        handle = next(self._handles)
        self.complete(handle, self._resources.promises.peek(name))
        return handle

    def sys_complete_promise_success(self, name: str, value: bytes) -> int:
        """Resolve a promise."""
        handle = next(self._handles)
        self.complete(handle, self._resources.promises.complete(name, value))
        return handle

    def sys_complete_promise_failure(self, name: str, failure: Failure) -> int:
        """Reject a promise."""
        handle = next(self._handles)
        self.complete(handle, self._resources.promises.complete(name, failure))
        return handle

    def sys_call(
        self, service: str, handler: str, parameter: bytes, key: str | None = None, **_: object
    ) -> CallHandles:
        """A call of another handler."""
        handles = CallHandles(next(self._handles), next(self._handles))
        self.complete(handles.invocation_id_handle, f"inv_{handles.invocation_id_handle}")
        answer = self._resources.calls.get((service, handler))
        if answer is None and service == self._resources.monitor.name:
            result = handles.result_handle
            self._resources.monitor.call(handler, key or "", parameter, lambda value: self.complete(result, value))
            return handles
        if answer is None:
            raise NotSimulatedError(
                f"the handler calls {service}/{handler}: say what that answers with test.on_call(...)"
            )
        self.complete(handles.result_handle, answer(parameter))
        return handles

    def sys_send(self, service: str, handler: str, parameter: bytes, key: str | None = None, **_: object) -> int:
        """A one-way call: recorded for the test; only `TaskMonitor` acts on it."""
        handle = next(self._handles)
        self.complete(handle, f"inv_{handle}")
        if service == self._resources.monitor.name:
            self._resources.monitor.finish(key or "")
        else:
            self._resources.sent.append((service, handler, parameter))
        return handle

    def sys_cancel(self, invocation_id: str) -> None:
        """Cancel an invocation: recorded for the test; the handler that runs can cancel itself."""
        self._resources.cancelled.append(invocation_id)
        if invocation_id == INVOCATION_ID:
            self.cancel()

    def sys_write_output_failure(self, output: Failure) -> None:
        """The end of the invocation, from below the handler."""
        self.failure = TerminalError(output.message, output.code)

    def sys_end(self) -> None:
        """The output was written."""

    def sys_get_state(self, name: str, _entry_name: str | None = None) -> int:
        """A value of the state."""
        handle = next(self._handles)
        self.complete(handle, self._resources.state.get(name))
        return handle

    def sys_set_state(self, name: str, value: bytes, _entry_name: str | None = None) -> None:
        """Set a value of the state."""
        self._resources.state[name] = value

    def sys_clear_state(self, name: str, _entry_name: str | None = None) -> None:
        """Clear a value of the state."""
        self._resources.state.pop(name, None)

    def _awakeable(self, name: str) -> int:
        if name not in self.awakeables:
            raise NotSimulatedError(
                "the handler completes an awakeable of another invocation: test it on a real Restate"
            )
        return self.awakeables[name]

    def _try_again(self, handle: int, failure: Failure, most: int | None) -> None:
        tries = self._failed[handle] = self._failed.get(handle, 0) + 1
        if tries >= (most or _STEP_TRIES):
            self.complete(handle, Failure(failure.code, failure.message))

    def _is_resolved(self, unresolved: UnresolvedFuture) -> bool:
        if isinstance(unresolved, FirstCompletedUnresolvedFuture):
            return any(map(self._is_resolved, unresolved.children))
        if isinstance(unresolved, AllCompletedUnresolvedFuture):
            return all(map(self._is_resolved, unresolved.children))
        return unresolved.handle in self._completed or unresolved.handle in self._taken


def _leaves(unresolved: UnresolvedFuture) -> list[int]:
    if isinstance(unresolved, FirstCompletedUnresolvedFuture | AllCompletedUnresolvedFuture):
        return [handle for child in unresolved.children for handle in _leaves(child)]
    return [unresolved.handle]
