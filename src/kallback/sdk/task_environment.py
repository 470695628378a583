"""What the calls of one `Callbacks` share, and whose they are on a simulated context.

A handler calls the `Callbacks` of its module, whoever calls the handler. `HandlerTest` calls it with a context that it
has redirected to an environment of its own: then nothing of the module's is used, and nothing needs to be replaced.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final, TypeVar
from weakref import WeakKeyDictionary

from restate import Context

from kallback.kafka import Producer
from kallback.protocol import TaskType, Token
from kallback.sdk.arguments import check_context, check_served, check_task_type
from kallback.sdk.errors import TaskError
from kallback.sdk.journal.awakeables import Signing
from kallback.sdk.journal.identity import Clock, IdentitySource, RandomBytes, Timeout, timeout_of
from kallback.sdk.journal.publish import TaskPublisher
from kallback.sdk.monitoring.client import MonitorCalls
from kallback.sdk.observability.observer import observer_of
from kallback.sdk.one_task import check_called_by_handler
from kallback.sdk.services.completion import verified
from kallback.sdk.tasks.running_task import RunningTask
from kallback.sdk.tasks.setup_limit import setup_log
from kallback.sdk.tasks.starting import start_tasks
from kallback.sdk.tasks.task import TaskDependencies, create_task, encode_request
from kallback.settings import Settings
from kallback.settings.option_types import check_argument, check_callable

if TYPE_CHECKING:
    from opentelemetry.trace import TracerProvider


Request = TypeVar("Request")
Result = TypeVar("Result")


class TaskEnvironment:
    """What a call of a handler uses.

    Attributes:
        gateway: where links of awakeables lead.
        is_monitored: `TaskMonitor` is served.
        has_codec: the application has a codec for the journal, and its bridges know of it.
    """

    def __init__(
        self,
        settings: Settings,
        producer: Producer | None,
        clock: Clock,
        random_bytes: RandomBytes,
        tracer_provider: TracerProvider | None,
    ) -> None:
        check_argument("Callbacks", "settings", settings, Settings, "Settings.from_env(), or use Callbacks.from_env()")
        check_argument("Callbacks", "producer", producer, Producer, "ConfluentProducer(settings.kafka)")
        check_callable("Callbacks", "clock", clock)
        check_callable("Callbacks", "random_bytes", random_bytes)
        keyring, topics = settings.keys.require(), settings.topics
        self.publisher: Final = TaskPublisher(settings.kafka, producer)
        self.observer: Final = observer_of(clock, tracer_provider)
        self.dependencies: Final = TaskDependencies(
            self.publisher,
            Signing(keyring, settings.keys.audience, topics.results, topics.progress),
            topics.control,
            clock,
            MonitorCalls(settings.services.monitor),
            timedelta(seconds=settings.kafka.setup_timeout),
            setup_log(),
            self.observer,
        )
        self.identities: Final = IdentitySource(clock, random_bytes, keyring, self.observer)
        self.gateway: Final = settings.gateway
        self.is_monitored = False
        self.has_codec = False
        self._topics: Final = topics

    def checked_limit(
        self, ctx: Context, task_type: TaskType[Any, Any], timeout: Timeout, called: str
    ) -> timedelta | None:
        """The timeout of a task, unless it cannot be sent from here.

        Args:
            ctx: as the handler passed it.
            task_type: as the handler passed it.
            timeout: as the handler passed it.
            called: the method of `Callbacks`, for the sentence of an error.

        Raises:
            TaskNotSent: something of this environment is missing for the type, or the timeout is not possible.
            TerminalError: it is no context of Restate's, or the handler does not await the call itself (400).
        """
        check_task_type(task_type)
        check_context(ctx, has_codec=self.has_codec)
        check_served(task_type, self._topics, monitored=self.is_monitored)
        check_called_by_handler(ctx, f"{called} of {task_type.name}")
        return timeout_of(task_type.name, task_type.timeout, timeout)

    async def start(
        self,
        ctx: Context,
        task_type: TaskType[Request, Result],
        request: Request,
        key: str | None,
        timeout: Timeout,  # noqa: ASYNC109 - a durable one: asyncio's would not survive a crash
        *,
        result_follows: bool,
    ) -> RunningTask[Result]:
        """Publish a task; `result_follows` says that its handler waits for nothing but its result.

        Raises:
            TaskNotSent: the task was not published.
            TerminalError: the invocation was cancelled (409); the workers are told.
        """
        limit = self.checked_limit(ctx, task_type, timeout, "callbacks.call or start")
        spec = await create_task(ctx, self.identities, encode_request(task_type, request, key), limit)
        task = RunningTask(ctx, self.dependencies, spec)
        await start_tasks([task], result_follows=result_follows)
        if isinstance(task.ended, TaskError):
            raise task.ended
        return task

    def verified(self, token: str) -> Token:
        """Read a token.

        Raises:
            CompletionRefused: its signature cannot be verified.
        """
        return verified(self.dependencies.signing.keyring, self.dependencies.signing.audience, token)


_redirected: Final[WeakKeyDictionary[Context, TaskEnvironment]] = WeakKeyDictionary()


def redirect(ctx: Context, environment: TaskEnvironment) -> None:
    """Have every call with this context use this environment, whichever `Callbacks` it is made on."""
    _redirected[ctx] = environment


def environment_of(ctx: object, own: TaskEnvironment) -> TaskEnvironment:
    """The environment of a call with this context: its own, unless the context was redirected."""
    return _redirected.get(ctx, own) if isinstance(ctx, Context) else own
