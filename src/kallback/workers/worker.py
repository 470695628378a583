"""The worker: functions registered for task types, and its start and stop.

A worker is made where its functions are, usually a module's top level, so making one touches neither Kafka nor the
environment; `start` does, and imports what a running worker is made of. After `stop` it may be started again, on any
event loop.

`stop` may come at any time and from any task of the loop, also while `start` runs, which then gives up and
returns. `run` and every `stop` return when everything is stopped.
"""

from __future__ import annotations

import dataclasses
import time
from collections import Counter
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final, Literal, TypeVar, final

from kallback.health import Histogram, Phase
from kallback.kafka import Client, client_of, clients_of
from kallback.kafka.consumer import check_group
from kallback.lifecycle import StartStop
from kallback.protocol.errors import ConfigurationError
from kallback.protocol.tasktypes import TaskType
from kallback.settings.option_types import check_argument, check_callable, check_method
from kallback.workers.attempts.dead_letter_reason import DeadLetterReason
from kallback.workers.observability.stats import RunningTasks, WorkerCounts
from kallback.workers.options import WorkerOptions
from kallback.workers.registration.functions import TaskDecorator, TaskFunction
from kallback.workers.registration.options import Acknowledge, AcknowledgeName, Executor, ExecutorName, registration_of
from kallback.workers.registration.signatures import no_task_type

if TYPE_CHECKING:
    from opentelemetry.trace import TracerProvider

    from kallback.kafka import ClientName, GroupStatus, KafkaClients
    from kallback.settings import Settings
    from kallback.workers.observability.spans import WorkerSpans
    from kallback.workers.runtime import WorkerRuntime
    from kallback.workers.runtime_config import RuntimeConfig

_TRACE_PARENTS: Final = ("child", "link")
Request = TypeVar("Request")
Result = TypeVar("Result")


@final
class Worker(StartStop):
    """Does tasks as a member of a group: each task goes to one of the workers with the same name.

        worker = Worker("kitchen")

        @worker.task(prepare)
        async def cook(order: Order, task: TaskContext) -> Prepared: ...

    Args:
        group: Kafka's group id. Workers of one name share the tasks; another name gets them all again.
        settings: where Kafka is and how topics are called; by default from the environment, read at the start.
        options: how it behaves.
        client: the Kafka client, "aiokafka" (the default) or "confluent".
        kafka: where its Kafka clients come from, if not from `client`.
        clock: epoch seconds; deadlines and the age of cancels are measured with it.
        tracer_provider: of OpenTelemetry: where spans of attempts go. Without it there are none.
        trace_parent: "child": such a span is a part of its caller's trace; "link": it begins a trace of its own, with a
            link to the caller's.
    """

    def __init__(
        self,
        group: str,
        *,
        settings: Settings | None = None,
        options: WorkerOptions | None = None,
        client: Client | ClientName = Client.AIOKAFKA,
        kafka: KafkaClients | None = None,
        clock: Callable[[], float] = time.time,
        tracer_provider: TracerProvider | None = None,
        trace_parent: Literal["child", "link"] = "child",
    ) -> None:
        if not _is_name(group):
            raise ConfigurationError("a worker needs a name: the group that shares the tasks, like Worker('kitchen')")
        check_group(group)
        call = f"Worker({group!r})"
        check_argument(call, "options", options, WorkerOptions, "WorkerOptions(concurrency=4)")
        check_callable(call, "clock", clock)
        if settings is not None:
            from kallback.settings import Settings  # noqa: PLC0415 - see above

            check_argument(call, "settings", settings, Settings, "Settings.from_env()")
        if trace_parent not in _TRACE_PARENTS:
            raise ConfigurationError(f"{call}: trace_parent={trace_parent!r} is not known: write 'child' or 'link'")
        check_method(call, "kafka", kafka, "consumer", "make Kafka clients")
        check_method(call, "tracer_provider", tracer_provider, "get_tracer", "make tracers")
        self.group: Final = group
        self.options = options or WorkerOptions()
        self._client = client_of(client)
        self._settings = settings
        self._kafka = kafka
        self._clock = clock
        self._functions: dict[str, TaskFunction] = {}
        self._counts = _no_counts()
        self._runtime: WorkerRuntime | None = None
        self._tracer_provider = tracer_provider
        self._trace_parent = trace_parent
        self._has_run = False

    def task(
        self,
        task_type: TaskType[Request, Result],
        *,
        executor: Executor | ExecutorName | None = None,
        concurrency: int | None = None,
        ordered: bool = False,
        acknowledge: Acknowledge | AcknowledgeName = Acknowledge.RESULT,
        kind: ExecutorName | None = None,
    ) -> TaskDecorator[Request, Result]:
        """Register a function for a task type: `async def` runs on the loop, `def` in a thread.

        The function takes the request and, if it wants, a `TaskContext`; it returns the result, or raises
        `TaskFailure`. Any other exception becomes a failed result of type `urn:kallback:unexpected-error`.

        Args:
            task_type: what it does.
            executor: "process" runs a plain function in a child process: for work that computes, or may crash.
            concurrency: tasks of this type at a time; None for as many as the worker's, in processes one per CPU.
            ordered: tasks of one record key run one after another, in the order of their records.
            acknowledge: "start" settles the record when the work has begun: for very long tasks. Needs a
                `heartbeat_every`: a lost worker is noticed by that alone.
            kind: the former name of `executor`, accepted until 1.0.

        Raises:
            ConfigurationError: these do not go together.
        """
        if not isinstance(task_type, TaskType):  # pyright: ignore[reportUnnecessaryIsInstance] - a bare @worker.task
            raise ConfigurationError(no_task_type(task_type))
        if task_type.awakeable_only:
            raise ConfigurationError(
                f"task type {task_type.name} is awakeable_only, so no task of it comes: declare it without that"
            )
        registration = registration_of(executor or kind, concurrency, acknowledge, ordered=ordered)
        registration.check(task_type)
        return TaskDecorator(task_type, self._register, registration)

    def use_client(self, client: Client | ClientName) -> None:
        """Choose the Kafka client after all: `kallback worker --client` does.

        Raises:
            ConfigurationError: the worker runs, brings its own clients, or there is no such client.
        """
        if self._runtime is not None or self._kafka is not None:
            raise ConfigurationError("a worker's client is chosen before it starts, and not beside kafka=...")
        self._client = client_of(client)

    def use_instance_id(self, name: str) -> None:
        """Give this process a name in its group: `kallback worker --instance-id` does; see `ConsumerOptions`.

        Raises:
            ConfigurationError: the worker runs.
        """
        if self._runtime is not None:
            raise ConfigurationError("a worker's instance id is chosen before it starts")
        consumer = dataclasses.replace(self.options.consumer, group_instance_id=name)
        self.options = dataclasses.replace(self.options, consumer=consumer)

    def use_session_timeout(self, seconds: float) -> None:
        """Choose the session timeout: `kallback worker --session-timeout` does; see `WorkerOptions`.

        Raises:
            ConfigurationError: the worker runs, or the timeout is not above 0.
        """
        if self._runtime is not None:
            raise ConfigurationError("a worker's session timeout is chosen before it starts")
        self.options = dataclasses.replace(self.options, session_timeout=seconds)

    def use_concurrency(self, tasks: int) -> None:
        """Choose how many tasks run at once: `kallback worker --concurrency` does; see `WorkerOptions`.

        Raises:
            ConfigurationError: the worker runs, or the number is below 1.
        """
        if self._runtime is not None:
            raise ConfigurationError("a worker's concurrency is chosen before it starts")
        self.options = dataclasses.replace(self.options, concurrency=tasks)

    def use_drain_timeout(self, seconds: float) -> None:
        """Choose how long a stop waits for tasks: `kallback worker --drain-timeout` does; see `WorkerOptions`.

        Raises:
            ConfigurationError: the worker runs, or the time is below 0.
        """
        if self._runtime is not None:
            raise ConfigurationError("a worker's drain timeout is chosen before it starts")
        self.options = dataclasses.replace(self.options, drain_timeout=seconds)

    def use_failing_of_unknown_types(self) -> None:
        """Also fail callers of unknown types: `kallback worker --fail-unknown-types` does; see `WorkerOptions`.

        Raises:
            ConfigurationError: the worker runs.
        """
        if self._runtime is not None:
            raise ConfigurationError("what a worker does with unknown task types is chosen before it starts")
        self.options = dataclasses.replace(self.options, fail_unknown_types=True)

    def use_tracing(self, provider: TracerProvider, parent: Literal["child", "link"] = "child") -> None:
        """Choose where spans go: `kallback worker --otel` does; see `tracer_provider` and `trace_parent`.

        Raises:
            ConfigurationError: the worker runs.
        """
        if self._runtime is not None:
            raise ConfigurationError("a worker's tracing is chosen before it starts")
        self._tracer_provider, self._trace_parent = provider, parent

    @property
    def task_types(self) -> tuple[TaskType[Any, Any], ...]:
        """The registered task types."""
        return tuple(function.task_type for function in self._functions.values())

    def function_of(self, task_type: TaskType[Any, Any]) -> TaskFunction:
        """The function that does a task type, with how it is registered: `kallback.testing.run_task` calls it.

        Raises:
            ConfigurationError: none is registered.
        """
        function = self._functions.get(task_type.name)
        if function is None:
            raise ConfigurationError(f"worker {self.group!r} has no function for {task_type.name}: register one")
        return function

    @property
    def phase(self) -> Phase:
        """Where in its life it is."""
        if self._runtime is not None:
            return self._runtime.phase
        return Phase.STOPPED if self._has_run else Phase.STARTING

    @property
    def durations(self) -> Mapping[str, Histogram]:
        """How long its functions took since the last start, by task type."""
        return {} if self._runtime is None else self._runtime.durations

    @property
    def refused_cancels(self) -> Mapping[str, int]:
        """How many cancels were refused since the last start, by reason: they do not come from their task's origin."""
        return {} if self._runtime is None else self._runtime.refused_cancels.counts

    @property
    def control_records(self) -> Mapping[str, int]:
        """How many records of the control topic were read since the last start, by outcome."""
        return {} if self._runtime is None else self._runtime.control_records

    @property
    def control_unread(self) -> str | None:
        """Why the control topic is not read now, so that cancels are not seen; None while it is."""
        return None if self._runtime is None else self._runtime.control_unread

    @property
    def refused_writes(self) -> Mapping[str, str | None]:
        """What to do about each topic that it writes to, while the topic refuses records; None while it takes them."""
        return {} if self._runtime is None else self._runtime.refused_writes

    def group_status(self) -> GroupStatus | None:
        """Its status in its group; None while it does not run."""
        return None if self._runtime is None else self._runtime.group_status()

    def running(self) -> RunningTasks:
        """What runs now."""
        return RunningTasks({}, 0.0, self.options.concurrency) if self._runtime is None else self._runtime.running()

    @property
    def counts(self) -> WorkerCounts:
        """What was done since the last start; a copy."""
        reasons = self._counts.dead_letter_reasons.copy()
        return dataclasses.replace(self._counts, dead_letter_reasons=reasons)

    async def run(self) -> None:
        """Start, and return when stopped. Cancelling it (Ctrl-C under `asyncio.run`) drains, too.

        `kallback worker MODULE:NAME` runs a worker as a process that minds SIGTERM and SIGINT.

        Raises:
            KallbackError: what keeps it from starting or from going on, with the remedy.
        """
        try:
            runtime = await self._start()
            await runtime.ended()
        finally:
            await self.stop()

    async def start(self) -> None:
        """Return when tasks are taken (or `stop` was called meanwhile); starting twice is fine.

        What ends the fetching later (a topic is deleted, a permission withdrawn) is a log line; `run` raises it.

        Raises:
            ConfigurationError: no function is registered, a topic is missing (`MissingTopicError`), access is
                denied (`AccessDeniedError`), the client is not installed (`MissingExtraError`).
            KafkaUnavailableError: no broker answers.
        """
        await self._start()

    async def stop(self) -> None:
        """Drain, commit, leave the group; return when nothing runs any more. Stopping twice is fine.

        Fetching ends at once. Tasks in flight get `WorkerOptions.drain_timeout` to finish and to publish; then they
        are interrupted. Those of types with heartbeats or a retry policy are handed back, and their callers send the
        next attempts; the others stay uncommitted, and Kafka gives them to another worker.
        """
        runtime = self._runtime
        if runtime is None:
            return
        try:
            await runtime.close()
        finally:
            if self._runtime is runtime:
                self._runtime = None

    def __repr__(self) -> str:
        return f"Worker({self.group!r}, {', '.join(self._functions) or 'no task types'})"

    async def _start(self) -> WorkerRuntime:
        from kallback.workers.runtime import WorkerRuntime  # noqa: PLC0415 - see above

        runtime = self._runtime
        if runtime is None:
            self._counts = _no_counts()
            self._has_run = True
            runtime = self._runtime = WorkerRuntime(self._config(), self._counts)
        try:
            await runtime.open()
        finally:
            if not runtime.is_open and self._runtime is runtime:
                self._runtime = None
        return runtime

    def _config(self) -> RuntimeConfig:
        from kallback.settings import Settings  # noqa: PLC0415 - see above
        from kallback.workers.runtime_config import RuntimeConfig  # noqa: PLC0415 - see above

        if not self._functions:
            raise ConfigurationError(f"worker {self.group!r} does nothing: register a function with @worker.task(...)")
        settings = self._settings or Settings.from_env()
        for each in self.task_types:
            if (reason := settings.topics.why_no_task_topic(each.topic)) is not None:
                raise ConfigurationError(f"task type {each.name}: {reason}")
        clients = self._kafka or clients_of(self._client, settings.kafka)
        functions, options = dict(self._functions), self.options
        return RuntimeConfig(self.group, functions, settings, options, clients, self._clock, self._spans())

    def _spans(self) -> WorkerSpans | None:
        if self._tracer_provider is None:
            return None
        from kallback.workers.observability.spans import TraceParent, WorkerSpans  # noqa: PLC0415 - optional

        return WorkerSpans(self._tracer_provider, self.group, TraceParent(self._trace_parent))

    def _register(self, function: TaskFunction) -> None:
        name = function.task_type.name
        if self._runtime is not None:
            raise ConfigurationError(f"{function.name}: register task functions before the worker starts")
        if name in self._functions:
            raise ConfigurationError(
                f"task type {name} is done by {self._functions[name].name} already: one function per type, or another "
                "worker with a name of its own"
            )
        self._functions[name] = function


def _no_counts() -> WorkerCounts:
    """Each reason is there from the start, so that a rate sees the first dead letter."""
    return WorkerCounts(dead_letter_reasons=Counter({reason.value: 0 for reason in DeadLetterReason}))


def _is_name(group: object) -> bool:
    return isinstance(group, str) and bool(group.strip())
