"""`Callbacks`: how a Restate service has work done over Kafka."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterable, Sequence
from datetime import timedelta
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Literal, Self, TypeVar, overload

import restate
from restate import Context, RestateDurableFuture, Service, VirtualObject, Workflow

from kallback.kafka import Producer
from kallback.protocol import Completed, Failed, Problem, TaskType
from kallback.sdk.arguments import (
    check_context,
    check_flag,
    check_future,
    check_length,
    check_number,
    check_task_type,
    check_text,
    restate_context,
)
from kallback.sdk.errors import TaskError
from kallback.sdk.handle import TaskHandle, running_tasks
from kallback.sdk.handler_values import check_services
from kallback.sdk.journal.awakeables import start_timer
from kallback.sdk.journal.identity import UNSET, Clock, RandomBytes, Timeout, timeout_of
from kallback.sdk.journal.token_awakeables import Links, TaskAwakeable, open_for_token
from kallback.sdk.journal_codec import checked_codec
from kallback.sdk.monitoring.client import PROGRESS_TIMEOUT, Progress
from kallback.sdk.observability.counts import SdkCounts, remember_counts
from kallback.sdk.one_task import check_called_by_handler
from kallback.sdk.own_services import own_services
from kallback.sdk.services.completion import complete_token, encoded, encoded_problem
from kallback.sdk.signatures import checked_methods
from kallback.sdk.task_environment import TaskEnvironment, environment_of
from kallback.sdk.tasks.fan_out import all_end_before, collect_all, collect_each, collect_first
from kallback.sdk.tasks.running_task import RunningTask
from kallback.sdk.tasks.starting import start_tasks
from kallback.sdk.tasks.task import create_tasks, encode_requests
from kallback.settings import Settings

if TYPE_CHECKING:
    from opentelemetry.trace import TracerProvider
    from restate import JournalValueCodec, JournalValueCodecProvider

Request = TypeVar("Request")
Result = TypeVar("Result")


@checked_methods("app", "stop")
class Callbacks:
    """Publishes tasks to Kafka workers and waits for their results durably.

        callbacks = Callbacks.from_env()
        orders = restate.Workflow("orders")

        @orders.main()
        async def run(ctx: restate.WorkflowContext, order_id: str) -> str:
            prepared = await callbacks.call(ctx, prepare, Order(order_id), key=order_id)
            return prepared.shelf

        app = callbacks.app([orders])

    What a *task* takes and returns may be a dataclass. What the *handler* itself takes and returns is converted by
    Restate's SDK, which knows `msgspec.Struct` and pydantic models, but no dataclasses: `app` refuses those.

    One per process, made at import. The first task connects to Kafka; nothing needs to be started. `stop()` (or
    `async with`) is for tests and for processes that go on without it.

    Args:
        settings: Kafka's address, the topics' names, the signing keys.
        producer: use this one instead of one made here; its owner starts and stops it.
        clock: seconds since the epoch, for deadlines and alarms.
        random_bytes: unguessable bytes, for task ids.
        allow_bare_awakeables: let `NotifierService` complete plain `ctx.awakeable()` ids, without a token.
        services_elsewhere: another deployment serves kallback's services, with the same keys and topics.
        tracer_provider: of OpenTelemetry: where spans go, such as `opentelemetry.trace.get_tracer_provider()`. Without
            it there are no spans, and OpenTelemetry is not imported.

    Raises:
        InvalidKeyError: there is no signing key, and insecure mode is off.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        producer: Producer | None = None,
        clock: Clock = time.time,
        random_bytes: RandomBytes = secrets.token_bytes,
        allow_bare_awakeables: bool = False,
        services_elsewhere: bool = False,
        tracer_provider: TracerProvider | None = None,
    ) -> None:
        self._environment: Final = TaskEnvironment(settings, producer, clock, random_bytes, tracer_provider)
        self._environment.is_monitored = services_elsewhere
        self._services: Final = own_services(
            settings, settings.keys.require(), clock=clock, allow_bare_awakeables=allow_bare_awakeables
        )

    @classmethod
    def from_env(cls) -> Self:
        """Read the settings from the `KALLBACK_*` variables.

        Raises:
            ConfigurationError: a variable is missing or unreadable; the sentence names it.
        """
        return cls(Settings.from_env())

    def app(
        self,
        services: Iterable[Service | VirtualObject | Workflow],
        *,
        identity_keys: list[str] | None = None,
        protocol: Literal["bidi", "request_response"] | None = None,
        journal_value_codec: JournalValueCodec | JournalValueCodecProvider | None = None,
    ) -> Any:
        """`restate.app` of your services and of kallback's: the application to serve.

            app = callbacks.app([orders])

        Args:
            services: yours.
            identity_keys: of Restate, as for `restate.app`.
            protocol: as for `restate.app`.
            journal_value_codec: as for `restate.app`. Bridges (`KALLBACK_RESTATE_JOURNAL_VALUE_CODEC`) and all
                applications of this environment need the same one.

        Raises:
            ConfigurationError: a handler's parameter or result is of a type that Restate's SDK does not convert, such
                as a dataclass: make it a `msgspec.Struct` or a pydantic model; or the codec's `decode` is not async.
        """
        self._environment.has_codec = journal_value_codec is not None
        own = list(services)
        check_services(own)
        bound = [*own, *(service for service in self.services if service not in own)]
        app = restate.app(bound, protocol, identity_keys, checked_codec(journal_value_codec))
        remember_counts(app, self.counts)
        return app

    @property
    def counts(self) -> SdkCounts:
        """What its tasks came to, for `SdkCollector`."""
        return self._environment.observer.counts

    @property
    def services(self) -> list[Service | VirtualObject]:
        """The Restate services that `app` binds: `NotifierService`, `TaskMonitor`, `ConsumedMarks`.

        Their names have the audience added, unless it is the default one. Task types with a `start_timeout` or
        `heartbeat_every` need them.
        """
        self._environment.is_monitored = True
        return [*self._services]

    async def call(
        self,
        ctx: Context,
        task_type: TaskType[Request, Result],
        request: Request,
        *,
        key: str | None = None,
        timeout: Timeout = UNSET,  # noqa: ASYNC109 - a durable one: asyncio's would not survive a crash
    ) -> Result:
        """Have a task done and wait for its result: one durable line.

            prepared = await callbacks.call(ctx, prepare, order, key=order.id)

        Args:
            ctx: the handler's context, of a service, an object or a workflow.
            task_type: the type of work.
            request: the worker's input.
            key: of the Kafka record: tasks with the same key reach one worker in order. By default the task id, so
                that tasks spread over all workers.
            timeout: over all attempts and the delays between them; None waits without a deadline. By default the
                task type's.

        Raises:
            TaskFailed: the worker reported a failure, or the result does not fit its type (`InvalidResult`).
            TaskTimedOut: no result before the deadline; the workers are told.
            TaskNotSent: the task was not published.
            TerminalError: the invocation was cancelled (409); the workers are told.
        """
        environment = environment_of(ctx, self._environment)
        task = await environment.start(ctx, task_type, request, key, timeout, result_follows=True)
        return await TaskHandle(task).result()

    async def start(
        self,
        ctx: Context,
        task_type: TaskType[Request, Result],
        request: Request,
        *,
        key: str | None = None,
        timeout: Timeout = UNSET,  # noqa: ASYNC109 - a durable one: asyncio's would not survive a crash
    ) -> TaskHandle[Result]:
        """Publish a task and go on. The timeout starts here.

            kitchen = await callbacks.start(ctx, prepare, order)
            courier = await callbacks.start(ctx, find_courier, order)
            prepared, found = await kitchen.result(), await courier.result()

        When the invocation is cancelled while the handler awaits something else, tell the workers yourself:
        `except TerminalError: await kitchen.cancel(); raise`.

        Raises:
            TaskNotSent: the task was not published.
            TerminalError: the invocation was cancelled (409); the workers are told.
        """
        environment = environment_of(ctx, self._environment)
        return TaskHandle(await environment.start(ctx, task_type, request, key, timeout, result_follows=False))

    async def start_many(
        self,
        ctx: Context,
        task_type: TaskType[Request, Result],
        requests: Sequence[Request],
        *,
        keys: Sequence[str | None] | None = None,
        timeout: Timeout = UNSET,  # noqa: ASYNC109 - a durable one: asyncio's would not survive a crash
    ) -> list[TaskHandle[Result]]:
        """Publish many tasks at once, in two journaled steps for all. They share a deadline.

            handles = await callbacks.start_many(ctx, prepare, order.dishes)
            prepared = await callbacks.gather(handles)

        A task that is not published does not affect the others: `result()` of its handle raises `TaskNotSent`. `keys`
        has the key of each Kafka record.

        Raises:
            TaskNotSent: a request does not fit its type; then no task is published.
            TerminalError: the invocation was cancelled (409); the workers are told.
        """
        environment = environment_of(ctx, self._environment)
        limit = environment.checked_limit(ctx, task_type, timeout, "callbacks.start_many")
        specs = await create_tasks(ctx, environment.identities, encode_requests(task_type, requests, keys), limit)
        tasks = [RunningTask(ctx, environment.dependencies, spec) for spec in specs]
        await start_tasks(tasks)
        return [TaskHandle(task) for task in tasks]

    @overload
    async def gather(self, handles: Sequence[TaskHandle[Result]], *, partial: Literal[False] = ...) -> list[Result]: ...
    @overload
    async def gather(
        self, handles: Sequence[TaskHandle[Result]], *, partial: Literal[True]
    ) -> list[Result | TaskError]: ...
    async def gather(
        self, handles: Sequence[TaskHandle[Result]], *, partial: bool = False
    ) -> list[Result] | list[Result | TaskError]:
        """Wait for the results of many tasks, retries included; they are in the order of the handles.

            results = await callbacks.gather(handles, partial=True)
            good = [it for it in results if not isinstance(it, TaskError)]

        With `partial`, wait until each task has ended, at the latest at its deadline, and return errors in their
        places. Otherwise the first error cancels the rest and is raised.

        Raises:
            TaskError: without `partial`.
            TerminalError: the invocation was cancelled (409); the workers are told.
        """
        check_flag("partial", partial)
        tasks = running_tasks("gather", handles)
        return await (collect_each(tasks) if partial else collect_all(tasks))

    async def first(self, handles: Sequence[TaskHandle[Result]], n: int = 1) -> list[Result]:
        """Wait for the first n results, in the order in which they come; the rest is cancelled.

            (quote,) = await callbacks.first(quotes)

        Raises:
            TaskError: too many tasks failed to reach n results; the last failure. The rest is cancelled.
            TerminalError: the invocation was cancelled (409); the workers are told. Or n is not possible (400).
        """
        check_number("n", n)
        return await collect_first(running_tasks("first", handles), n)

    async def all_end_before(
        self, handles: Sequence[TaskHandle[Any]], future: RestateDurableFuture[Any], *, or_one_fails: bool = False
    ) -> bool:
        """Wait until all tasks have ended, over all attempts, or another durable future is completed.

            if await callbacks.all_end_before(handles, ctx.promise("stop").value(), or_one_fails=True):
                return await callbacks.gather(handles)  # all results; or it cancels the rest and raises the failure

        Args:
            handles: the group.
            future: as for `handle.ends_before`.
            or_one_fails: end the wait, too, when one task has failed after all its attempts.

        Returns:
            Whether all have ended, with values or errors, or, with `or_one_fails`, one has failed; others run on.

        Raises:
            TerminalError: the invocation was cancelled (409); the workers are told. Or an argument is wrong (400).
        """
        tasks = running_tasks("all_end_before", handles)
        check_future("future", future)
        check_flag("or_one_fails", or_one_fails)
        return await all_end_before(tasks, future, or_one_fails=or_one_fails)

    async def progress(
        self,
        ctx: Context,
        task_id: str,
        *,
        timeout: timedelta = PROGRESS_TIMEOUT,  # noqa: ASYNC109 - a durable one: asyncio's would not survive a crash
    ) -> Progress:
        """The status of a running task whose type has `heartbeat_every` or `start_timeout`.

            progress = await callbacks.progress(ctx, task_id)
            return progress.details_as(Percent).percent

        Raises:
            UnknownTask: the task has ended, or it is not watched (404).
            MonitorUnavailable: `TaskMonitor` did not answer within the timeout (504).
        """
        environment = environment_of(ctx, self._environment)
        check_context(ctx, has_codec=environment.has_codec)
        check_text("task_id", task_id)
        check_length("timeout", timeout)
        check_called_by_handler(ctx, "callbacks.progress")
        return await environment.dependencies.monitor.read_progress(ctx, task_id, timeout)

    async def awakeable(
        self,
        ctx: Context,
        task_type: TaskType[Request, Result],
        *,
        timeout: Timeout = UNSET,  # noqa: ASYNC109 - a durable one: asyncio's would not survive a crash
    ) -> TaskAwakeable[Result]:
        """An awakeable with a token, which the handler sends itself, over any transport. Nothing goes to Kafka.

            waiting = await callbacks.awakeable(ctx, prepare)
            prepared = await waiting.result()  # after a step that sends waiting.headers, token or url

        Who has the token can answer once, until the deadline.
        """
        environment = environment_of(ctx, self._environment)
        check_task_type(task_type)
        check_context(ctx, has_codec=environment.has_codec)
        check_called_by_handler(ctx, f"callbacks.awakeable of {task_type.name}")
        limit = timeout_of(task_type.name, task_type.timeout, timeout)
        timer = start_timer(ctx, task_type.name, limit)
        signing = environment.dependencies.signing
        pending = await open_for_token(ctx, task_type, limit, environment.identities, signing)
        return TaskAwakeable(ctx, pending, timer, Links(environment.gateway, signing.keyring), environment.observer)

    def complete(self, ctx: Context, token: str, value: object = None) -> None:
        """Complete the task of a token, from any handler of any service with the signing keys.

            callbacks.complete(ctx, request.token, Prepared(shelf="B3"))

        The value is anything that JSON can carry: plain values, dataclasses, `msgspec.Struct`, pydantic models.

        Raises:
            CompletionRefused: the token cannot be verified, or JSON cannot carry the value.
        """
        environment = environment_of(restate_context(ctx), self._environment)
        complete_token(ctx, environment.verified(token), Completed(encoded(value)))

    def fail(self, ctx: Context, token: str, problem: Problem) -> None:
        """Fail the task of a token: its caller gets `TaskFailed`.

            callbacks.fail(ctx, request.token, Problem("OutOfStock", 422, "no basil"))

        Raises:
            CompletionRefused: the token cannot be verified.
        """
        environment = environment_of(restate_context(ctx), self._environment)
        complete_token(ctx, environment.verified(token), Failed(encoded_problem(problem)))

    async def stop(self) -> None:
        """Flush and close the producer made here. May be called twice; the next task makes a new producer."""
        await self._environment.publisher.stop()

    async def __aenter__(self) -> Self:
        """Nothing to start."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop."""
        await self.stop()


def environment_of_callbacks(callbacks: Callbacks) -> TaskEnvironment:
    """The environment of a `Callbacks`, for contexts that are to be redirected to it: tests."""
    return callbacks._environment  # noqa: SLF001 # pyright: ignore[reportPrivateUsage]
