"""`Callbacks`: what a Restate service uses to have work done over Kafka."""

from __future__ import annotations

import secrets
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Final, Self, TypeVar

from restate import Context, Service, VirtualObject

from kallback.kafka import Producer
from kallback.protocol import Completed, Failed, Problem, TaskType, Token
from kallback.sdk.collecting import Collecting
from kallback.sdk.handle import TaskHandle
from kallback.sdk.journal.awakeables import Signing, TaskAwakeable, open_attempt, start_timer
from kallback.sdk.journal.identity import UNSET, Clock, IdentitySource, RandomBytes, Timeout, timeout_of
from kallback.sdk.journal.publish import TaskPublisher
from kallback.sdk.monitoring.consumed_marks import ConsumedMarks
from kallback.sdk.monitoring.service import TaskMonitor
from kallback.sdk.services.completion import complete_token, encoded, encoded_problem, verified
from kallback.sdk.services.notifier import NotifierService
from kallback.sdk.tasks.fanout import launch_many
from kallback.sdk.tasks.publishing import launch
from kallback.sdk.tasks.requests import course_of, courses_of, prepared, prepared_many
from kallback.sdk.tasks.task import FIRST_ATTEMPT, Shared
from kallback.settings import Settings

Request = TypeVar("Request")
Result = TypeVar("Result")


class Callbacks(Collecting):
    """Has tasks done by whoever reads Kafka, and waits for their results durably.

        callbacks = Callbacks.from_env()
        orders = restate.Workflow("orders")

        @orders.main()
        async def run(ctx: restate.WorkflowContext, order: Order) -> str:
            prepared = await callbacks.call(ctx, prepare, order, key=order.id)
            return prepared.shelf

        app = restate.app([orders, *callbacks.services])

    One per process, made at import. Kafka is contacted by the first task; nothing needs to be started, and
    `stop()` (or `async with`) is for tests and for processes that go on without it.

    Args:
        settings: where Kafka is, how topics are called, what signs tokens.
        producer: use this one instead of one made here; whoever gives it starts and stops it.
        clock: seconds since the epoch, for deadlines and alarms.
        random_bytes: unguessable bytes, for task ids.
        allow_bare_awakeables: let `NotifierService` complete plain `ctx.awakeable()` ids, without a token.

    Raises:
        InvalidKeyError: no signing key, and insecure mode was not asked for.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        producer: Producer | None = None,
        clock: Clock = time.time,
        random_bytes: RandomBytes = secrets.token_bytes,
        allow_bare_awakeables: bool = False,
    ) -> None:
        keyring, audience, topics = settings.keys.require(), settings.keys.audience, settings.topics
        signing = Signing(keyring, audience, topics.results, topics.progress)
        self._publisher: Final = TaskPublisher(settings.kafka, producer)
        self._shared: Final = Shared(self._publisher, signing, topics.control, clock)
        self._identities: Final = IdentitySource(clock, random_bytes)
        self._services: Final = (
            NotifierService(keyring, audience, allow_bare_awakeables=allow_bare_awakeables),
            TaskMonitor(keyring, audience, topics=(topics.progress, topics.results), clock=clock),
            ConsumedMarks(),
        )

    @classmethod
    def from_env(cls) -> Self:
        """Read the settings from the `KALLBACK_*` variables.

        Raises:
            ConfigurationError: a variable is missing or unreadable; the sentence names it.
        """
        return cls(Settings.from_env())

    @property
    def services(self) -> list[Service | VirtualObject]:
        """The Restate services to bind next to your own: `NotifierService`, `TaskMonitor`, `ConsumedMarks`.

        Bind them where task types have a `start_timeout` or `heartbeat_every`: while Restate does not know them,
        it tries the handlers that ask for them again and again.
        """
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
            task_type: which work.
            request: what the worker gets.
            key: of the Kafka record: tasks with one key reach one worker in order. By default the task id, so
                tasks spread over all workers.
            timeout: over all attempts and what is between them; None waits for ever. By default the task type's.

        Raises:
            TaskFailed: the worker reported a failure, or what came is no result (`InvalidResult`).
            TaskTimedOut: no result before the deadline; the workers are told.
            TaskNotSent: Kafka did not take the task.
            TerminalError: the invocation was cancelled (409); the workers are told.
        """
        handle = await self.start(ctx, task_type, request, key=key, timeout=timeout)
        return await handle.result()

    async def start(
        self,
        ctx: Context,
        task_type: TaskType[Request, Result],
        request: Request,
        *,
        key: str | None = None,
        timeout: Timeout = UNSET,  # noqa: ASYNC109 - a durable one: asyncio's would not survive a crash
    ) -> TaskHandle[Result]:
        """Have a task published, and go on. The timeout runs from here.

            kitchen = await callbacks.start(ctx, prepare, order)
            courier = await callbacks.start(ctx, find_courier, order)
            prepared, found = await kitchen.result(), await courier.result()

        When the invocation is cancelled while the handler awaits something else, tell the workers yourself:
        `except TerminalError: await kitchen.cancel(); raise`.

        Raises:
            TaskNotSent: Kafka did not take the task.
            TerminalError: the invocation was cancelled (409); the workers are told.
        """
        limit = timeout_of(task_type.name, task_type.timeout, timeout)
        course = await course_of(ctx, self._shared, self._identities, prepared(task_type, request, key), limit)
        await launch(course)
        return TaskHandle(course)

    async def start_many(
        self,
        ctx: Context,
        task_type: TaskType[Request, Result],
        requests: Sequence[Request],
        *,
        keys: Sequence[str | None] | None = None,
        timeout: Timeout = UNSET,  # noqa: ASYNC109 - a durable one: asyncio's would not survive a crash
    ) -> list[TaskHandle[Result]]:
        """Have many tasks published at once, in two journaled steps for all. They share a deadline.

            handles = await callbacks.start_many(ctx, prepare, order.dishes)
            prepared = await callbacks.gather(handles)

        A task that Kafka does not take harms no other: `result()` of its handle raises `TaskNotSent`. `keys` has the
        key of each Kafka record.

        Raises:
            TaskNotSent: a request does not fit its type; then none is sent.
            TerminalError: the invocation was cancelled (409); the workers are told.
        """
        limit = timeout_of(task_type.name, task_type.timeout, timeout)
        prepared = prepared_many(task_type, requests, keys)
        courses = await courses_of(ctx, self._shared, self._identities, prepared, limit)
        await launch_many(ctx, courses)
        return [TaskHandle(course) for course in courses]

    async def awakeable(
        self,
        ctx: Context,
        task_type: TaskType[Request, Result],
        *,
        timeout: Timeout = UNSET,  # noqa: ASYNC109 - a durable one: asyncio's would not survive a crash
    ) -> TaskAwakeable[Result]:
        """An awakeable with a token, which the handler sends itself, in any way. Nothing goes to Kafka.

        waiting = await callbacks.awakeable(ctx, prepare)
        await ctx.run_typed("ask the kitchen", post, url, headers=waiting.headers)
        prepared = await waiting.result()
        """
        limit = timeout_of(task_type.name, task_type.timeout, timeout)
        timer = start_timer(ctx, task_type.name, limit)
        identity = await self._identities.create(ctx, task_type, limit)
        pending = open_attempt(ctx, task_type, identity, FIRST_ATTEMPT, self._shared.signing)
        return TaskAwakeable(pending, identity, timer)

    def complete(self, ctx: Context, token: str, value: object = None) -> None:
        """Complete the task of a token, from any handler of any service that has the keys.

            callbacks.complete(ctx, request.token, Prepared(shelf="B3"))

        The value is anything with a JSON form: plain values, dataclasses, `msgspec.Struct`, pydantic models.

        Raises:
            CompletionRefused: the token cannot be verified, or the value has no JSON form. Terminal.
        """
        complete_token(ctx, self._verified(token), Completed(encoded(value)))

    def fail(self, ctx: Context, token: str, problem: Problem) -> None:
        """Fail the task of a token: its caller gets `TaskFailed`.

            callbacks.fail(ctx, request.token, Problem("OutOfStock", 422, "no basil"))

        Raises:
            CompletionRefused: the token cannot be verified. Terminal.
        """
        complete_token(ctx, self._verified(token), Failed(encoded_problem(problem)))

    async def stop(self) -> None:
        """Flush and close the producer made here; stopping twice is fine, and the next task makes a new one."""
        await self._publisher.stop()

    async def __aenter__(self) -> Self:
        """Nothing to start."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop."""
        await self.stop()

    def _verified(self, token: str) -> Token:
        return verified(self._shared.signing.keyring, self._shared.signing.audience, token)
