"""A simulated `TaskMonitor`: it answers the handlers' calls, or does not, as the test says.

It keeps the state of watched tasks with the real decisions (`kallback.sdk.monitoring.decide`). It sets no alarms: an
attempt is lost when the script of the worker says so.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgspec
from restate.vm import Failure

from kallback.protocol import Failed, Heard, Signal, TaskHeaders, TaskId, seal
from kallback.sdk.monitoring.decide import WatchedTask, WatchMany, WatchRequest, begin, problem_of, record_heartbeat
from kallback.testing.errors import NotSimulatedError

Answer = Callable[[bytes | Failure], None]

_NOT_FOUND: Final = 404


class SimulatedMonitor:
    """`TaskMonitor` as handlers see it.

    Attributes:
        name: of the service, in the environment of the test.
        watched: the state of each running task of a type with `start_timeout` or `heartbeat_every`, by task id.
    """

    def __init__(self, name: str, now_ms: Callable[[], int], resolve: Callable[[str, bytes], None]) -> None:
        self.name: Final = name
        self.watched: Final[dict[str, WatchedTask]] = {}
        self._now_ms: Final = now_ms
        self._resolve: Final = resolve
        self._unanswered: Final[list[Callable[[], None]]] = []
        self._available = True

    @property
    def available(self) -> bool:
        """Whether it answers. While False, calls wait, as those of a service without a running deployment."""
        return self._available

    @available.setter
    def available(self, available: bool) -> None:
        self._available = available
        waiting = list(self._unanswered) if available else []
        for call in waiting:
            self._unanswered.remove(call)
            call()

    def call(self, handler: str, key: str, parameter: bytes, answer: Answer) -> None:
        """Take a handler's call.

        Raises:
            NotSimulatedError: `TaskMonitor` has another handler of this name, or none.
        """
        methods = {"watch": self._watch, "watch_many": self._watch_many, "read": self._read}
        if handler not in methods:
            raise NotSimulatedError(f"the handler test does not simulate TaskMonitor/{handler}")

        def reply() -> None:
            answer(methods[handler](key, parameter))

        if self._available:
            reply()
        else:
            self._unanswered.append(reply)

    def finish(self, key: str) -> None:
        """Forget a task."""
        self.watched.pop(key, None)

    def record(self, headers: TaskHeaders, signal: Signal, details: bytes = b"") -> None:
        """Record that a worker started an attempt, or a heartbeat of it."""
        known, now_ms = self.watched.get(headers.task_id), self._now_ms()
        if known is not None and known.watch.attempt == headers.attempt:
            heard = Heard(headers.token, signal, now_ms, now_ms, msgspec.Raw(details))
            self.watched[headers.task_id] = record_heartbeat(known, heard)

    def lose(self, headers: TaskHeaders) -> None:
        """Fail an attempt as lost, if it is still the current one."""
        known = self.watched.get(headers.task_id)
        if known is None or known.watch.attempt != headers.attempt:
            return
        self.watched[headers.task_id] = known.given_up_now()
        envelope = seal(headers.task_id, headers.attempt, Failed(problem_of(known).encode()))
        self._resolve(known.watch.awakeable_id, envelope)

    def _watch(self, key: str, parameter: bytes) -> bytes:
        return self._begin(key, msgspec.json.decode(parameter, type=WatchRequest))

    def _watch_many(self, _key: str, parameter: bytes) -> bytes:
        for task_id, request in msgspec.json.decode(parameter, type=WatchMany).watches.items():
            self._begin(task_id, request)
        return b""

    def _begin(self, key: str, request: WatchRequest) -> bytes:
        watched = begin(self.watched.get(key), request)
        self.watched[key] = watched
        return bytes(watched.details)

    def _read(self, key: str, _parameter: bytes) -> bytes | Failure:
        watched = self.watched.get(key)
        if watched is None:
            return Failure(_NOT_FOUND, f"no task {key} is watched")
        return msgspec.json.encode(watched.progress(TaskId(key)))
