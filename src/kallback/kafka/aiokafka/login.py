"""How aiokafka logs in with SASL: its arguments, its access tokens, and what it says when it is refused.

aiokafka takes a token that the broker refuses for one that it accepts, and lets errors of Kerberos through, which end
tasks of its own that expect its errors only; and it keeps a password as it was at first. Its authenticators, and the
connection that calls them, are therefore replaced by those of this module.
"""

# aiokafka is annotated in part only and ships no py.typed:
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportIncompatibleMethodOverride=false

from __future__ import annotations

import asyncio
import importlib.util
import logging
import ssl
from typing import TYPE_CHECKING, Any, Final, Self, cast

from kallback.kafka.errors import NO_ANSWER, missing_extra, unreachable
from kallback.kafka.login.kerberos import missing_gssapi
from kallback.kafka.login.listener import why_not_let_in
from kallback.kafka.login.refusals import refused_certificate, refused_login, refused_tls
from kallback.kafka.login.token_source import login_refusal, token_failure, token_source
from kallback.protocol.errors import KallbackError
from kallback.settings import SaslMechanism, named_log

try:
    from aiokafka import conn, errors
except ModuleNotFoundError as error:
    raise missing_extra("aiokafka", "workers", "bridge") from error
from aiokafka.abc import AbstractTokenProvider
from aiokafka.conn import (
    AIOKafkaConnection,
    OAuthAuthenticator,
    SaslGSSAPIAuthenticator,
    SaslPlainAuthenticator,
    ScramAuthenticator,
    collect_hosts,
    create_conn,
)

if TYPE_CHECKING:
    from kallback.settings import KafkaSettings, Secret

log: Final = named_log("kallback.kafka")

_REFUSAL_TIMEOUT_S: Final = 2.0
_NO_TLS: Final = "WRONG_VERSION_NUMBER"  # OpenSSL's word for an answer that is no TLS at all
_MAX_SAID: Final = 200


class _ClearPassword(logging.Filter):
    """Says once in a process, with the remedy, what aiokafka says without one at each connection to each broker."""

    def __init__(self) -> None:
        super().__init__()
        self._is_said = False

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether aiokafka's line is written."""
        if record.msg != _CLEAR_PASSWORD:
            return True
        if not self._is_said:
            self._is_said = True
            log.warning(
                "the password for Kafka is sent unencrypted: set KALLBACK_KAFKA_SECURITY_PROTOCOL=SASL_SSL for a "
                "listener with TLS, or KALLBACK_KAFKA_SASL_MECHANISM to a SCRAM one, which sends no password",
                kind="clear-password",
            )
        return False


_CLEAR_PASSWORD: Final = "Sending username and password in the clear"  # noqa: S105 - a log line
conn.log.addFilter(_ClearPassword())


class TokenProvider(AbstractTokenProvider):
    """Gives aiokafka the access token of this process, at each connection."""

    def __init__(self, settings: KafkaSettings) -> None:
        self._source = token_source(settings)
        self._extensions = settings.security.oauth.extensions

    async def token(self) -> Any:  # a text; aiokafka declares nothing
        """Return a token that is good now; it is fetched in a thread.

        Raises:
            KafkaConnectionError: there is none; aiokafka tries again later.
        """
        try:
            return (await asyncio.to_thread(self._source.token)).text.reveal()
        except Exception as error:  # anything else would end the task that keeps aiokafka's metadata fresh
            raise errors.KafkaConnectionError(str(error)) from error

    def extensions(self) -> dict[str, str]:
        """Return the SASL extensions."""
        return dict(self._extensions.items())

    def refused(self) -> None:
        """Take note that a broker refuses the token."""
        self._source.refused()

    def accepted(self) -> None:
        """Take note that a broker has accepted the token."""
        self._source.accepted()


class CheckedOAuthAuthenticator(OAuthAuthenticator):
    """Notices that the broker refuses the token: its answer then looks like a challenge (RFC 7628, 3.2.2)."""

    async def step(self, payload: bytes | None) -> tuple[bytes, bool] | None:
        """Return what is sent next; None at the end.

        Raises:
            SaslAuthenticationFailed: the broker refuses the token.
        """
        if payload:
            said = "".join(char if char.isprintable() else " " for char in payload[:_MAX_SAID].decode("latin-1"))
            raise errors.SaslAuthenticationFailed(f"the broker answers {said}")
        sent: tuple[bytes, bool] | None = await cast("Any", super()).step(payload)
        return sent


class CheckedGSSAPIAuthenticator(SaslGSSAPIAuthenticator):
    """Turns what Kerberos raises into an error that aiokafka knows."""

    async def step(self, payload: bytes | None) -> tuple[bytes, bool] | None:
        """Return what is sent next; None at the end.

        Raises:
            SaslAuthenticationFailed: there is no ticket, or the broker is not who the ticket is for.
        """
        try:
            sent: tuple[bytes, bool] | None = await cast("Any", super()).step(payload)
        except errors.KafkaError:
            raise
        except Exception as error:  # noqa: BLE001 - gssapi's own tree; the package may not be installed
            raise errors.SaslAuthenticationFailed(str(error)) from None
        return sent


class FollowedPassword(str):
    """A password that aiokafka hands to its authenticators unchanged, which then ask for the one of now."""

    __slots__ = ("secret",)
    secret: Secret

    @classmethod
    def of(cls, secret: Secret) -> Self:
        """Wrap a password."""
        made = cls(secret.reveal())
        made.secret = secret
        return made


def _current(named: dict[str, Any]) -> dict[str, Any]:
    password = named["sasl_plain_password"]
    if not isinstance(password, FollowedPassword):  # aiokafka's own use, without kallback
        return named
    return named | {"sasl_plain_password": password.secret.reveal()}


class FollowedPlainAuthenticator(SaslPlainAuthenticator):
    """Logs in with the password of now."""

    def __init__(self, **named: Any) -> None:
        cast("Any", super()).__init__(**_current(named))


class FollowedScramAuthenticator(ScramAuthenticator):
    """Logs in with the password of now."""

    def __init__(self, **named: Any) -> None:
        cast("Any", super()).__init__(**_current(named))


class CheckedConnection(AIOKafkaConnection):
    """Tells the source of access tokens when a broker accepts or refuses one."""

    async def _do_sasl_handshake(self) -> None:
        provider: object = cast("Any", self)._sasl_oauth_token_provider  # noqa: SLF001 - aiokafka has no hook for it
        try:
            await cast("Any", super())._do_sasl_handshake()  # noqa: SLF001 - as above
        except errors.SaslAuthenticationFailed:
            if isinstance(provider, TokenProvider):
                provider.refused()
            raise
        if isinstance(provider, TokenProvider):
            provider.accepted()


_connections: Any = conn
_connections.AIOKafkaConnection = CheckedConnection
_connections.SaslPlainAuthenticator = FollowedPlainAuthenticator
_connections.ScramAuthenticator = FollowedScramAuthenticator
_connections.OAuthAuthenticator = CheckedOAuthAuthenticator
_connections.SaslGSSAPIAuthenticator = CheckedGSSAPIAuthenticator


def login_config(settings: KafkaSettings) -> dict[str, Any]:
    """Return aiokafka's arguments for a login.

    Raises:
        MissingExtraError: it needs a package that is not installed.
        ConfigurationError: the token provider cannot be imported.
    """
    security = settings.security
    config: dict[str, Any] = {"sasl_mechanism": security.mechanism.value}
    if security.password is not None:
        config |= {
            "sasl_plain_username": security.username,
            "sasl_plain_password": FollowedPassword.of(security.password),
        }
    if security.mechanism is SaslMechanism.OAUTHBEARER:
        config["sasl_oauth_token_provider"] = TokenProvider(settings)
    if security.mechanism is SaslMechanism.GSSAPI:
        if importlib.util.find_spec("gssapi") is None:
            raise missing_gssapi()
        config["sasl_kerberos_service_name"] = security.kerberos_service
    return config


async def why_refused(config: dict[str, Any], settings: KafkaSettings) -> KallbackError:
    """Connect to one bootstrap server once more; return what refuses this client for good, or that none answers.

    aiokafka logs why it could not connect and raises another error. A refused login, a certificate that is not trusted
    and a listener of another kind will not pass by themselves; everything else may.
    """
    if (without_token := token_failure(settings)) is not None:
        return without_token
    options = {name: value for name, value in config.items() if name != "bootstrap_servers"}
    host, port, _ = collect_hosts(config["bootstrap_servers"])[0]
    failure: Exception = TimeoutError()
    try:
        async with asyncio.timeout(_REFUSAL_TIMEOUT_S):
            (await create_conn(host, port, **options)).close()
    except (OSError, TimeoutError, errors.KafkaError) as error:
        failure = error
    refusal = refusal_of(failure, settings)
    if refusal is None or isinstance(failure, _ASKED_FIRST):
        refusal = await asyncio.to_thread(why_not_let_in, settings) or refusal
    return refusal or unreachable(settings, f"{host}:{port}: {reason_of(failure)}")


_ASKED_FIRST: Final = (errors.UnsupportedSaslMechanismError, ssl.SSLError)
"""The listener says more: which mechanisms it takes, and that it speaks no TLS."""


def reason_of(error: BaseException | None) -> str:
    """Return why a server could not be reached, in the words of the system or of aiokafka."""
    if error is None or isinstance(error, asyncio.CancelledError | TimeoutError):
        return NO_ANSWER
    if isinstance(error, OSError | errors.KafkaError):
        return str(error)
    return repr(error)


def refusal_of(error: Exception, settings: KafkaSettings) -> KallbackError | None:
    """Return the error for a refused login or certificate; None for what may pass by itself."""
    if isinstance(error, errors.SaslAuthenticationFailed | errors.UnsupportedSaslMechanismError):
        return login_refusal(settings, refused_login(settings, str(error)))
    if isinstance(error, errors.KafkaConnectionError) and isinstance(error.__cause__, KallbackError):
        return error.__cause__
    if isinstance(error, ssl.SSLCertVerificationError):
        return refused_certificate(settings, error)
    if isinstance(error, ssl.SSLError) and error.reason == _NO_TLS:
        return refused_tls(settings, str(error))
    return None
