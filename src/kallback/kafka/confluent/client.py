"""What every confluent-kafka client needs: the import, its configuration, and the first contact with a cluster."""

# confluent_kafka.admin re-exports without saying so:
# pyright: reportPrivateImportUsage=false

from __future__ import annotations

import asyncio
import logging
import math
import re
import threading
import time
from typing import TYPE_CHECKING, Any, Final, TypeVar

from kallback.kafka.confluent.login import login_config
from kallback.kafka.errors import (
    NO_ANSWER,
    PERMANENT_FOR_A_CLIENT,
    error_for,
    missing_extra,
    missing_topic,
    unreachable,
)
from kallback.kafka.login.kerberos import librdkafka_without_gssapi
from kallback.kafka.login.listener import why_not_let_in
from kallback.kafka.login.refusals import refused_client_certificate, refused_login, refused_tls
from kallback.kafka.login.tls import check_tls_files
from kallback.kafka.login.token_source import login_refusal, token_accepted, token_failure, token_refused, uses_tokens
from kallback.lifecycle import LogThrottle
from kallback.protocol.errors import ConfigurationError, KafkaUnavailableError, KallbackError
from kallback.settings import named_log

try:
    from confluent_kafka import KafkaError, KafkaException
except ModuleNotFoundError as error:
    raise missing_extra("confluent-kafka", "sdk", "bridge") from error

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from confluent_kafka import Consumer, Producer
    from confluent_kafka.admin import AdminClient, ClusterMetadata

    from kallback.settings import KafkaSettings

_LOGGING: Final = frozenset({"debug", "log_level"})
"""Options of a user who wants librdkafka's own lines on stderr."""
_SILENT: Final = logging.Logger("librdkafka", logging.CRITICAL + 1)  # noqa: LOG001 - none that an application may turn on
"""Level 0 still has the fatal errors, which reach us as errors, and raw lines would break a terminal and a log."""

Value = str | int | float | bool | None
T = TypeVar("T")

log: Final = named_log("kallback.kafka")

_SLICE: Final = 0.5
"""Seconds of one try to reach a broker; between tries the client's own errors are looked at."""

_ERRORS_INTERVAL_S: Final = 60.0
"""Seconds between equal lines of one client; librdkafka reports each failed connection."""

_OF_SERVER: Final = re.compile(r"(?P<server>[^\s/]+:\d+)/(?:bootstrap|\d+): (?P<reason>.*)")
"""librdkafka's words; a test holds them against it."""

_TIMING: Final = re.compile(r" \(after \d+ms in state \w+(, \d+ identical error\(s\) suppressed)?\)")
"""As above: differs each time, so that one cause would look like several."""

_INTERRUPTED: Final = "handshake failed: Local:"
"""As above, of a connection that broke while it logged in: the code is that of a refused login."""

_DISTRUSTED: Final = "certificate verify failed"
"""As above."""

_WITHOUT_GSSAPI: Final = "No provider for SASL mechanism GSSAPI"
"""As above."""

_FILES: Final = {
    "ssl.key.location": "that KALLBACK_KAFKA_SSL_KEY_FILE is the key of KALLBACK_KAFKA_SSL_CERT_FILE, and "
    "KALLBACK_KAFKA_SSL_KEY_PASSWORD",
    "ssl.certificate.location": "KALLBACK_KAFKA_SSL_CERT_FILE",
    "ssl.ca.location": "KALLBACK_KAFKA_SSL_CA_FILE",
}
"""As above, by the options that it names."""

_TLS_OPTIONS: Final = ("ssl.ca.location", "ssl.certificate.location", "ssl.key.location", "ssl.key.password")

_LISTENER_AFTER_S: Final = 2.0
"""Without an answer, after which the listener is asked why: long after a broker answers who is let in."""

_NOT_EXTRA: Final = frozenset(
    {
        "acks", "auto.offset.reset", "bootstrap.servers", "enable.auto.commit", "enable.auto.offset.store",
        "enable.idempotence", "enable.partition.eof", "group.id", "isolation.level", "metadata.broker.list",
        "request.required.acks", "transactional.id",
    }
)  # fmt: skip


def confluent_config(settings: KafkaSettings, own: Mapping[str, Value]) -> dict[str, Any]:
    """Return librdkafka's configuration: connection and security, what `own` adds, and the user's `extra`.

    Raises:
        ConfigurationError: `extra` holds an option on which kallback's guarantees rest.
        KallbackError: there is no access token, which the login needs.
    """
    for option in settings.extra:
        if option in _NOT_EXTRA:
            raise ConfigurationError(
                f"KALLBACK_KAFKA_EXTRA may not set {option}: kallback's guarantees rest on it; remove it"
            )
    config: dict[str, Any] = {
        "bootstrap.servers": settings.bootstrap_servers,
        "client.id": settings.client_id,
        "log_level": 0,  # librdkafka writes to stderr by itself; what matters comes through error_cb
        "reconnect.backoff.max.ms": 2000,  # 10 s by default: too long after a broker's restart
    }
    if not _LOGGING.intersection(settings.extra):
        config["logger"] = _SILENT
    return config | _security(settings) | dict(own) | dict(settings.extra.items())


def _security(settings: KafkaSettings) -> dict[str, Any]:
    security = settings.security
    config: dict[str, Any] = {"security.protocol": security.protocol.value}
    if security.protocol.uses_sasl:
        config |= login_config(settings)
    if security.protocol.uses_tls:
        files = {
            "ssl.ca.location": security.ca_file,
            "ssl.certificate.location": security.cert_file,
            "ssl.key.location": security.key_file,
        }
        config |= {option: str(path) for option, path in files.items() if path is not None}
        if security.key_password is not None:
            config["ssl.key.password"] = security.key_password.reveal()
    return config


def build(kind: Callable[[dict[str, Any]], T], config: dict[str, Any]) -> T:
    """Make a client.

    Raises:
        ConfigurationError: librdkafka refuses an option, or cannot read a file.
    """
    try:
        return kind(config)
    except (KafkaException, ValueError, TypeError) as error:
        reason = error.args[0].str() if isinstance(error, KafkaException) else str(error)
        if _WITHOUT_GSSAPI in reason:
            raise _without_gssapi(config) from None
        if (option := next((each for each in _FILES if each in reason), None)) is not None:
            check_tls_files(*map(config.get, _TLS_OPTIONS))  # says it better
            raise ConfigurationError(
                f"a TLS file cannot be used ({reason}): check {_FILES[option]}, which is read as {option}"
            ) from None
        raise ConfigurationError(
            f"the Kafka client refuses its settings ({reason}): check KALLBACK_KAFKA_* and KALLBACK_KAFKA_EXTRA"
        ) from None


def _without_gssapi(config: Mapping[str, Any]) -> KallbackError:
    if "GSSAPI" in (config.get("sasl.mechanism"), config.get("sasl.mechanisms")):
        return librdkafka_without_gssapi()
    return ConfigurationError(
        "KALLBACK_KAFKA_EXTRA turns SASL on without a mechanism, and librdkafka takes GSSAPI then: set "
        "KALLBACK_KAFKA_SECURITY_PROTOCOL and KALLBACK_KAFKA_SASL_MECHANISM in place of security.protocol"
    )


class ClientErrors:
    """Collects the errors that a client reports by itself (`error_cb`), and logs them without flooding.

    The callback runs in whichever thread polls the client.

    Args:
        settings: name the client in log lines, and say how it logs in.
        quiet: log for people who look for a fault only: another client of the same owner says the same.

    Attributes:
        connecting: the first contact is being made, or has failed: errors are kept in `last` and not logged, because
            the sentence that ends a failing contact has them.
        distrusted: a broker's certificate is not trusted; librdkafka does not say why.
    """

    def __init__(self, settings: KafkaSettings, *, quiet: bool = False) -> None:
        self._settings = settings
        self._client = settings.client_id
        self._throttle = None if quiet else LogThrottle(log, interval=_ERRORS_INTERVAL_S)
        self.refused: KallbackError | None = None
        self.fatal = False
        self.all_down = False
        self.last = ""
        self.connecting = False
        self.distrusted = False
        self._by_server: dict[str, str] = {}

    def __call__(self, error: KafkaError) -> None:
        """Note one error; a refused log-in is remembered, for no retry cures it."""
        self.last = said = _TIMING.sub("", error.str())
        if (told := _OF_SERVER.search(said)) is not None:
            self._by_server[told["server"]] = told["reason"]
        self.fatal = self.fatal or error.fatal()
        if error.code() == KafkaError._ALL_BROKERS_DOWN:  # noqa: SLF001 - as below
            self.all_down = True
            self.last += "".join(f"; {server}: {reason}" for server, reason in self._by_server.items())
        refused = self._refusal(error.code(), said)
        if refused is None and (alert := refused_client_certificate(self._settings, said)) is not None:
            refused = alert  # librdkafka takes a server's alert for a broken connection
            self.refused = self.refused or (alert if self.connecting else None)
        elif refused is not None:
            self.refused = refused
        if self.connecting:
            return
        detail = self.last if refused is None else str(refused)
        if self._throttle is None:
            log.debug("Kafka client error", client=self._client, kind=error.name(), detail=detail)
        else:
            self._throttle.warning("Kafka client error", kind=error.name(), client=self._client, detail=detail)

    def _refusal(self, code: int, said: str) -> KallbackError | None:
        """What a retry does not cure."""
        if code == KafkaError._AUTHENTICATION and _INTERRUPTED not in said:  # noqa: SLF001 - librdkafka's own code
            token_refused(self._settings)
            refusal = token_failure(self._settings) or refused_login(self._settings, said)
            return login_refusal(self._settings, refusal)
        if code == KafkaError._SSL:  # noqa: SLF001 - as above
            self.distrusted = _DISTRUSTED in said
            return refused_tls(self._settings, said)
        return None

    def new_client(self) -> None:
        """Forget what an earlier client said: another one takes its place."""
        self.refused, self.fatal, self.all_down, self.last = None, False, False, ""
        self.connecting = self.distrusted = False
        self._by_server.clear()

    def by_server(self, bootstrap_servers: str) -> str:
        """Say of each bootstrap server what became of it."""
        servers = [each.strip() for each in bootstrap_servers.split(",")]
        return "; ".join(f"{each}: {self._by_server.get(each, NO_ANSWER)}" for each in servers)


def may_log_in_again(error: KafkaError, settings: KafkaSettings) -> bool:
    """Whether an error is the end of an access token: `ClientErrors` has heard of it, and a new one is asked for."""
    return error.code() == KafkaError._AUTHENTICATION and uses_tokens(settings)  # noqa: SLF001 - librdkafka's own code


def failure_of(error: KafkaError, settings: KafkaSettings, *, what: str, topic: str | None = None) -> KallbackError:
    """Return the error of our tree, as `error_for`; the end of an access token is no lasting refusal."""
    if may_log_in_again(error, settings):
        return KafkaUnavailableError(
            f"{what} failed: a broker refused the access token ({error.str()}), the client logs in with the next one; "
            "try again"
        )
    return error_for(error.code(), error.str(), what=what, topic=topic)


async def in_thread(blocking: Callable[[threading.Event], T]) -> T:
    """Run in a thread what blocks for long; it gives up when the event is set.

    Cancelling sets the event and waits for the thread: a thread that is left behind would use a closed client, and
    delay the end of the process.
    """
    abandoned = threading.Event()
    work = asyncio.ensure_future(asyncio.to_thread(blocking, abandoned))
    try:
        return await asyncio.shield(work)
    except asyncio.CancelledError:
        abandoned.set()
        await asyncio.gather(work, return_exceptions=True)
        raise


def first_contact(
    client: Producer | Consumer | AdminClient,
    settings: KafkaSettings,
    errors: ClientErrors,
    *,
    topics: Iterable[str] = (),
    abandoned: threading.Event | None = None,
) -> None:
    """Wait until a broker answers, and check that topics exist. Blocks for the connect timeout at most.

    Args:
        client: what asks.
        settings: the connect timeout.
        errors: what the client reports meanwhile.
        topics: what must exist.
        abandoned: set it, and this gives up within half a second.

    Raises:
        KafkaUnavailableError: no broker answered in time, or one refuses the access token of a process that was let in
            before.
        AccessDeniedError: the cluster refuses the credentials, the certificate, or the topic.
        MissingTopicError: a topic does not exist.
    """
    attempt = _ContactAttempt(settings, errors, abandoned or threading.Event())
    errors.connecting = True
    _ask(client, attempt, topics)
    errors.connecting = False
    token_accepted(settings)


def _ask(client: Producer | Consumer | AdminClient, attempt: _ContactAttempt, topics: Iterable[str]) -> None:
    for topic in topics:
        found = attempt.metadata(client, topic).topics.get(topic)
        if found is None:
            raise missing_topic(topic)
        if found.error is not None and found.error.code() in PERMANENT_FOR_A_CLIENT:
            raise error_for(found.error.code(), found.error.str(), what=f"looking up {topic!r}", topic=topic)
    if not topics:
        attempt.metadata(client, "__consumer_offsets")


class _ContactAttempt:
    """One attempt to reach a broker, for the connect timeout."""

    def __init__(self, settings: KafkaSettings, errors: ClientErrors, abandoned: threading.Event) -> None:
        now = time.monotonic()
        self._settings, self._errors, self._abandoned = settings, errors, abandoned
        self._deadline = now + settings.connect_timeout
        self._ask_listener_at = min(now + _LISTENER_AFTER_S, self._deadline)

    def metadata(self, client: Producer | Consumer | AdminClient, topic: str) -> ClusterMetadata:
        """Ask in slices, as between them the client reports errors and the attempt can be abandoned."""
        while True:
            slice_s = max(0.05, min(_SLICE, self._deadline - time.monotonic()))
            try:
                return client.list_topics(topic, slice_s)
            except KafkaException:
                client.poll(0)  # lets error_cb speak
                if (refused := self._refusal()) is not None:
                    raise refused from None
                if self._abandoned.is_set() or time.monotonic() >= self._deadline:
                    said = self._errors.by_server(self._settings.bootstrap_servers)
                    raise unreachable(self._settings, said) from None

    def _refusal(self) -> KallbackError | None:
        known = self._errors.refused
        if self._errors.distrusted:  # the certificate that the listener shows says why
            self._ask_listener_at = 0.0
        elif known is not None:
            return known
        return self._refused_by_listener() or known

    def _refused_by_listener(self) -> KallbackError | None:
        """What librdkafka does not say of a listener, asked once."""
        if self._abandoned.is_set() or time.monotonic() < self._ask_listener_at:
            return None
        self._ask_listener_at = math.inf
        return why_not_let_in(self._settings)
