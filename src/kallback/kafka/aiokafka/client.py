"""What every aiokafka client needs: the import, its configuration, and errors of our tree."""

# aiokafka is annotated in part only and ships no py.typed:
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar, cast

from kallback.kafka.aiokafka.login import login_config, why_refused
from kallback.kafka.errors import CONNECTING, NO_ANSWER, error_for, missing_topic, unreachable
from kallback.kafka.login.listener import is_security_option, why_not_let_in
from kallback.kafka.login.tls import tls_context
from kallback.lifecycle import ration_loggers
from kallback.protocol.errors import ConfigurationError, MissingExtraError, MissingTopicError
from kallback.settings import SecurityProtocol, named_log

from aiokafka import AIOKafkaConsumer, errors  # isort: skip - the check comes first

if TYPE_CHECKING:
    from collections.abc import Awaitable, Iterable

    from kallback.protocol.errors import KallbackError
    from kallback.settings import KafkaSettings

T = TypeVar("T")

_COMMIT_REQUEST: Final = "GroupCoordinator._do_commit_offsets"
"""aiokafka's name for it; a test holds this against aiokafka."""

log: Final = named_log("kallback.kafka")
ration_loggers("aiokafka")  # it writes 170 lines a second while no broker answers


class InvalidRecordError(errors.BrokerResponseError):
    """A broker refuses a record for what it is; aiokafka has no name for it, and takes it for an unknown error."""

    errno = 87
    message = "INVALID_RECORD"
    description = "The broker refuses the record, as a compacted topic does one without a key."


errors.kafka_errors.setdefault(InvalidRecordError.errno, InvalidRecordError)
CLOSE_TIMEOUT_S: Final = 15.0  # longer than a rebalance; a frozen broker must not hold up a stop


class Stoppable(Protocol):
    """aiokafka's consumer or producer."""

    async def stop(self) -> Any:
        """Close."""
        ...


class Startable(Protocol):
    """aiokafka's consumer or producer."""

    async def start(self) -> Any:
        """Connect."""
        ...


class StartStoppable(Startable, Stoppable, Protocol):
    """aiokafka's consumer or producer."""


Client = TypeVar("Client", bound=StartStoppable)


def aiokafka_config(settings: KafkaSettings) -> dict[str, Any]:
    """Return the arguments that consumer and producer share: connection and security.

    `settings.extra` holds librdkafka's options, which aiokafka does not know: they are left out.

    Raises:
        ConfigurationError: one of them secures the connection: without it the client would connect as if it were not
            there.
    """
    for option in settings.extra:
        if is_security_option(option):
            raise ConfigurationError(
                f"KALLBACK_KAFKA_EXTRA has {option}, which aiokafka ignores: use client confluent, or the "
                "KALLBACK_KAFKA_SECURITY_PROTOCOL, _SASL_* and _SSL_* variables, which both clients obey"
            )
    security = settings.security
    config: dict[str, Any] = {
        "bootstrap_servers": settings.bootstrap_servers,
        "client_id": settings.client_id,
        "security_protocol": security.protocol.value,
    }
    if security.protocol.uses_tls:
        config["ssl_context"] = tls_context(settings)
    if security.protocol.uses_sasl:
        config |= login_config(settings)
    return config


def translated(
    error: errors.KafkaError, *, what: str, topic: str | None = None, group: str | None = None
) -> KallbackError:
    """Return the error of our tree."""
    if isinstance(error, errors.UnsupportedCodecError):
        return missing_codec(what, error)
    code: object = getattr(error, "errno", 0)
    number = code if isinstance(code, int) else 0
    return error_for(number, f"{type(error).__name__}: {error}", what=what, topic=topic, group=group)


def missing_codec(what: str, error: Exception) -> MissingExtraError:
    """Return the error for a compression whose library is not installed."""
    return MissingExtraError(
        f'{what} failed ({error}): pip install "kallback[workers]" (or "kallback[bridge]"), which brings the codecs of '
        "Kafka, or cramjam alone; or use client confluent"
    )


async def connect(client: Startable, settings: KafkaSettings) -> None:
    """Start a client, no longer than the connect timeout; a refused connection ends it at once.

    Raises:
        KafkaUnavailableError: no broker answered in time.
        AccessDeniedError: the cluster refuses the credentials or the certificate.
    """
    try:
        async with asyncio.timeout(settings.connect_timeout):
            await client.start()
    except TimeoutError:
        no_answer = unreachable(settings, f"{settings.bootstrap_servers}: {NO_ANSWER}")
        raise await asyncio.to_thread(why_not_let_in, settings) or no_answer from None
    except errors.KafkaConnectionError:
        raise await why_refused(aiokafka_config(settings), settings) from None
    except errors.KafkaError as error:
        raise translated(error, what=CONNECTING) from None


async def connected(client: Client, settings: KafkaSettings) -> Client:
    """Return the client once it is started; one that cannot start is closed. Raises as `connect`."""
    try:
        await connect(client, settings)
    except BaseException:
        await close(client)
        raise
    return client


async def close(client: Stoppable, seconds: float = CLOSE_TIMEOUT_S) -> None:
    """Close a client; one that fails or does not end in time is left behind with a log line.

    A consumer that is left behind stays in its group until its session expires.
    """
    try:
        async with asyncio.timeout(seconds):
            await _stop(client)
    except Exception as error:  # noqa: BLE001 - whatever it is, the client is no longer used, and others must be closed
        log.warning("a Kafka client was not closed", client=type(client).__name__, reason=f"{error!r}")


async def _stop(client: Stoppable) -> None:
    """Stop a client.

    A consumer of aiokafka 0.14 whose broker closed the connection a moment ago lets the end of its own fetch tasks out
    as a cancellation (`Fetcher.close`), and leaves its connections open. That is not a cancellation of this task.
    """
    current = cast("asyncio.Task[Any]", asyncio.current_task())
    before = current.cancelling()
    try:
        await client.stop()
    except asyncio.CancelledError:
        if current.cancelling() > before:
            raise
        connections = getattr(client, "_client", None)
        if connections is not None:
            await connections.close()


async def require_topics(client: AIOKafkaConsumer, settings: KafkaSettings, topics: Iterable[str]) -> None:
    """Check that topics exist.

    Raises:
        MissingTopicError: one does not exist, or this client may not even see it.
    """
    existing = await within(settings, client.topics(), what="looking up topics")
    for topic in topics:
        if topic not in existing:
            error = missing_topic(topic)
            if settings.security.protocol is SecurityProtocol.PLAINTEXT:  # there is no user who might not see it
                raise error
            raise MissingTopicError(f"{error}; or this user may not see it, and needs DESCRIBE on it")


async def within(settings: KafkaSettings, call: Awaitable[T], *, what: str) -> T:
    """Await a call to the cluster, no longer than the connect timeout, with errors of our tree."""
    try:
        async with asyncio.timeout(settings.connect_timeout):
            return await call
    except TimeoutError:
        raise unreachable(settings, f"{what}; a broker was reached before") from None
    except errors.KafkaError as error:
        raise translated(error, what=what) from None


def adopt_abandoned_commits() -> None:
    """Take the errors of commits that are no longer awaited.

    aiokafka shields a commit's request from cancellation. When the broker dies under one that we gave up, asyncio
    would write a traceback ("exception was never retrieved") about what is covered by the next commit.
    """
    for task in asyncio.all_tasks():
        if getattr(task.get_coro(), "__qualname__", "") == _COMMIT_REQUEST:
            task.add_done_callback(_take_error)


def _take_error(task: asyncio.Task[Any]) -> None:
    if not task.cancelled():
        task.exception()
