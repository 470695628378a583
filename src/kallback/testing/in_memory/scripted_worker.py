"""A worker that follows a script: it answers at once, late, twice, with a failure, or never.

It reads task records from an in-memory broker and writes result records, encoded as real workers do. It reads no
cancels: a late answer comes even when the handler does not wait any more, as from a worker that missed the cancel.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any, Final, Generic, Self, TypeVar

from kallback.kafka import MemoryBroker, OutgoingRecord, Record, TopicPartition
from kallback.protocol import ConfigurationError, Signal, TaskHeaders, TaskType
from kallback.testing.in_memory.clock import VirtualTime
from kallback.testing.in_memory.monitor import SimulatedMonitor
from kallback.testing.in_memory.run_task import work_on
from kallback.workers import Executor, TaskFailure, Worker
from kallback.workers.context import encode_details
from kallback.workers.registration.functions import TaskFunction

Request = TypeVar("Request")
Result = TypeVar("Result")

_NOW: Final = timedelta(0)


@dataclass(frozen=True, slots=True)
class SentTask(Generic[Request]):
    """A task record as the scripted worker got it.

    Attributes:
        request: decoded.
        key: of the record; the task id unless the handler gave one.
        headers: everything that the sdk says beside the request.
    """

    request: Request
    key: str
    headers: TaskHeaders


@dataclass(frozen=True, slots=True)
class _Heartbeat:
    """What an attempt tells of itself, and how long after it began."""

    details: bytes
    after: timedelta


@dataclass(frozen=True, slots=True)
class _Answer:
    """One entry of a script; without a function, no answer."""

    heartbeats: tuple[_Heartbeat, ...]
    function: TaskFunction | None = None
    after: timedelta = _NOW
    times: int = 1
    lost: bool = False


class Script(Generic[Request, Result]):
    """What becomes of the tasks of one type: each call adds the answer to one task, the last one holds for the rest.

    worker.on(prepare).fails(TaskFailure("OvenCold", retryable=True)).completes(Prepared("B3"))
    """

    def __init__(self, task_type: TaskType[Request, Result]) -> None:
        self._task_type: Final = task_type
        self._script: Final[list[_Answer]] = []
        self._heartbeats: Final[list[_Heartbeat]] = []  # of the answer that is added next
        self._next = 0
        self.tasks: Final[list[SentTask[Request]]] = []

    def completes(self, result: Result, *, after: timedelta = _NOW, times: int = 1) -> Self:
        """Answer with a result, `after` this time.

        `times` of all answers is how often one answer is delivered, 2 for a duplicate. It answers one attempt all the
        same: say `fails` as often as attempts are to fail.
        """
        return self.answers(lambda _: result, after=after, times=times)

    def fails(self, failure: TaskFailure, *, after: timedelta = _NOW, times: int = 1) -> Self:
        """Answer one attempt with a failure."""

        def fail(_: Request) -> Result:
            raise failure

        return self.answers(fail, after=after, times=times)

    def answers(self, work: Callable[[Request], Result], *, after: timedelta = _NOW, times: int = 1) -> Self:
        """Answer with what a function of the request returns or raises; it is called once for each task."""
        return self._add(TaskFunction(self._task_type, work, Executor.THREAD, takes_context=False), after, times)

    def runs(self, worker: Worker, *, after: timedelta = _NOW, times: int = 1) -> Self:
        """Answer with what the registered function of a real worker comes to, as `run_task` runs it."""
        return self._add(worker.function_of(self._task_type), after, times)

    def never_answers(self) -> Self:
        """Take the task and never answer."""
        self._script.append(_Answer(self._take_heartbeats()))
        return self

    def is_lost(self, *, after: timedelta = _NOW) -> Self:
        """Take the task, and have `TaskMonitor` fail the attempt as lost: for types with `heartbeat_every`.

        Raises:
            ConfigurationError: the type has no heartbeats.
        """
        self._check_heartbeats("an attempt of it is never lost; use .never_answers()")
        self._script.append(_Answer(self._take_heartbeats(), after=after, lost=True))
        return self

    def sends_heartbeat(self, details: object = None, *, after: timedelta = _NOW) -> Self:
        """Send a heartbeat before the answer that is added next; `after` this time since the attempt began.

        worker.on(render).sends_heartbeat({"frame": 73}, after=timedelta(minutes=1)).is_lost(after=timedelta(minutes=2))

        Raises:
            ConfigurationError: the type has no heartbeats.
            InvalidProgressError: the details are no JSON, or too large.
        """
        self._check_heartbeats("its workers send none")
        self._heartbeats.append(_Heartbeat(encode_details(details), after))
        return self

    def clear(self) -> Self:
        """Forget the answers that were added, as those of a fixture; the tasks so far stay in `tasks`."""
        self._script.clear()
        self._heartbeats.clear()
        self._next = 0
        return self

    def take(self, record: Record, headers: TaskHeaders) -> _Answer:
        """Record a task and return the answer to it.

        Raises:
            ConfigurationError: the script is empty, or ends with a heartbeat.
        """
        key = (record.key or b"").decode()
        self.tasks.append(SentTask(self._task_type.request_codec.decode(record.value or b"null"), key, headers))
        if not self._script:
            raise ConfigurationError(f"worker.on({self._task_type.name}) says nothing: add .completes(...) or the like")
        if self._heartbeats:
            raise ConfigurationError(
                f"worker.on({self._task_type.name}) has a heartbeat with no answer behind it: add .completes(...) or "
                "the like"
            )
        answer = self._script[min(self._next, len(self._script) - 1)]
        self._next += 1
        return answer

    def _add(self, function: TaskFunction, after: timedelta, times: int) -> Self:
        self._script.append(_Answer(self._take_heartbeats(), function, after, times))
        return self

    def _take_heartbeats(self) -> tuple[_Heartbeat, ...]:
        taken = tuple(self._heartbeats)
        self._heartbeats.clear()
        return taken

    def _check_heartbeats(self, what_follows: str) -> None:
        if self._task_type.heartbeat_every is None:
            raise ConfigurationError(f"{self._task_type.name} has no heartbeat_every: {what_follows}")


class ScriptedWorker:
    """Does the tasks of all types that have a script; what is sent to the others' topics finds no topic."""

    def __init__(self, broker: MemoryBroker, time: VirtualTime, monitor: SimulatedMonitor) -> None:
        self._broker: Final = broker
        self._monitor: Final = monitor
        self._time: Final = time
        self._scripts: Final[dict[str, Script[Any, Any]]] = {}
        self._read: Final[dict[TopicPartition, int]] = {}
        self._unsent: Final[deque[OutgoingRecord]] = deque()

    def on(self, task_type: TaskType[Request, Result]) -> Script[Request, Result]:
        """The script of a task type, one and the same at each call; its topic exists from now on."""
        if not self._broker.partitions(task_type.topic):
            self._broker.create_topic(task_type.topic)
        self._read.update({each: self._read.get(each, 0) for each in self._broker.partitions(task_type.topic)})
        return self._scripts.setdefault(task_type.name, Script(task_type))

    async def step(self) -> bool:
        """Send one answer or take one task, if there is one."""
        if self._unsent and self._broker.available:
            self._broker.append(self._unsent.popleft())
            return True
        for partition, offset in self._read.items():
            for record in self._broker.read(partition, offset, 1):
                self._read[partition] = offset + 1
                await self._take(record)
                return True
        return False

    async def _take(self, record: Record) -> None:
        headers = TaskHeaders.decode(record.headers)
        script = self._scripts.get(headers.task_type)
        if script is None:
            raise ConfigurationError(
                f"no script for {headers.task_type}: say worker.on({headers.task_type}).completes(...)"
            )
        answer = script.take(record, headers)
        self._monitor.record(headers, Signal.STARTED)
        for heartbeat in answer.heartbeats:
            report = partial(self._monitor.record, headers, Signal.HEARTBEAT, heartbeat.details)
            self._time.after(heartbeat.after.total_seconds(), report)
        delay = answer.after.total_seconds()
        if answer.lost:
            self._time.after(delay, lambda: self._monitor.lose(headers))
        if answer.function is None:
            return
        heartbeats: list[bytes] = []
        worked = await work_on(answer.function, record, heartbeats)
        for details in heartbeats:
            self._monitor.record(headers, Signal.HEARTBEAT, details)
        records = [worked.reply.record] * answer.times
        self._time.after(delay, lambda: self._unsent.extend(records))
