"""Asks a token endpoint for an access token, with client credentials (RFC 6749, 4.4).

One implementation for both Kafka clients (decision 27): librdkafka has one of its own, aiokafka has none, and their
errors would differ. It blocks, so that it runs in librdkafka's callback as well as in a thread of an event loop.

Answers come from outside: their size and the time for them are bounded, and redirections are not followed, because
they would carry the client's secret to another server.
"""

from __future__ import annotations

import base64
import json
import re
import ssl
import time
import urllib.error
import urllib.request
from http import HTTPStatus
from http.client import HTTPException
from typing import TYPE_CHECKING, Any, Final, NamedTuple, cast
from urllib.parse import quote_plus, urlencode

from kallback.kafka.login.access_token import AccessToken, check_token
from kallback.kafka.login.cut_connections import Connections, HttpHandler, HttpsHandler
from kallback.lifecycle import daemon_call
from kallback.protocol.errors import AccessDeniedError, ConfigurationError, KafkaUnavailableError, KallbackError
from kallback.settings import Secret
from kallback.settings.certificates import refusal_with_its_own_remedy, words_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kallback.settings import OAuthSettings

TIMEOUT_S: Final = 10.0
"""For one answer in all; token endpoints take milliseconds to a second."""

_MAX_ANSWER_BYTES: Final = 256 * 1024
_MAX_SAID: Final = 200
_ERROR_CODE: Final = re.compile(r"[\x20-\x7e]{1,60}")  # RFC 6749, 5.2
_TRY_AGAIN: Final = frozenset({HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS})
_DENIED: Final = frozenset({HTTPStatus.BAD_REQUEST, HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN})
_VARIABLES: Final = "KALLBACK_KAFKA_SASL_OAUTH_"


class _TokenAnswer(NamedTuple):
    status: int
    body: bytes


def fetch_token(settings: OAuthSettings, *, timeout: float = TIMEOUT_S) -> AccessToken:
    """Return a new token; blocks for `timeout` seconds at most. A proxy of the environment (`HTTPS_PROXY`) is used.

    Raises:
        KafkaUnavailableError: the endpoint does not answer, or is overloaded.
        AccessDeniedError: it refuses this client, or its certificate is not trusted.
        ConfigurationError: its answer is no token.
    """
    issued_at = time.time()
    connections = Connections()
    # Nothing else bounds the look-up of the name.
    asked = daemon_call(lambda: _ask(settings, timeout, connections), "kallback-token")
    try:
        error = asked.exception(timeout)
    except TimeoutError:
        raise _not_reached(settings, f"no whole answer within {timeout:g} s") from None
    finally:
        connections.cut()
    if error is not None:
        raise error
    answer = asked.result()
    return read_answer(answer.status, answer.body, settings, issued_at)


def read_answer(status: int, body: bytes, settings: OAuthSettings, issued_at: float) -> AccessToken:
    """Return the token that an endpoint has answered with. Pure.

    Args:
        status: of HTTP.
        body: of the answer.
        settings: whom was asked, for sentences.
        issued_at: epoch seconds of the question: a lifetime counts from there.

    Raises:
        KallbackError: as `fetch_token`.
    """
    where = f"the token endpoint {settings.shown_url}"
    if status != HTTPStatus.OK:
        raise _refusal(status, body, settings, where)
    members = _json_object(body) if len(body) <= _MAX_ANSWER_BYTES else None
    text = (members or {}).get("access_token")
    if members is None or not isinstance(text, str):
        raise ConfigurationError(
            f"{where} answered with something that is no access token (RFC 6749, 5.1): check {_VARIABLES}TOKEN_URL"
        )
    lifetime = members.get("expires_in")
    try:
        seconds = float(cast("Any", lifetime))  # some servers send it as a text
    except (TypeError, ValueError, OverflowError):
        raise ConfigurationError(
            f"{where} does not say how long its token lives: let it send expires_in (RFC 6749, 5.1), or use "
            f"{_VARIABLES}PROVIDER"
        ) from None
    check_token(text, issued_at + seconds, issued_at, where)
    return AccessToken(Secret(text), issued_at + seconds)


def _ask(settings: OAuthSettings, timeout: float, connections: Connections) -> _TokenAnswer:
    fields = {"grant_type": "client_credentials"} | ({"scope": settings.scope} if settings.scope else {})
    request = urllib.request.Request(  # noqa: S310 - settings allow http and https only
        settings.token_url,
        urlencode(fields | dict(settings.parameters.items())).encode(),
        {"Accept": "application/json", "Authorization": f"Basic {_login(settings)}", "User-Agent": "kallback"},
        method="POST",
    )
    opener = _opener(settings, connections)
    try:
        try:
            with opener.open(request, timeout=timeout) as response:
                return _TokenAnswer(response.status, response.read(_MAX_ANSWER_BYTES + 1))
        except urllib.error.HTTPError as error:
            with error:
                return _TokenAnswer(error.code, error.read(_MAX_ANSWER_BYTES))
    except (OSError, HTTPException) as error:  # URLError is an OSError
        raise _unreachable(settings, getattr(error, "reason", None) or error) from None
    except ValueError:  # of a host's name, of a path
        raise ConfigurationError(
            f"the token endpoint {settings.shown_url} cannot be asked: check {_VARIABLES}TOKEN_URL, which is ASCII, "
            "with each part of the host's name of 1 to 63 characters, and the proxy (HTTPS_PROXY), if there is one"
        ) from None


def _opener(settings: OAuthSettings, connections: Connections) -> urllib.request.OpenerDirector:
    """What speaks http and https, through a proxy as well; it does not know how to follow a redirection."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        HttpHandler(connections),
        HttpsHandler(connections, _tls(settings)),
        urllib.request.HTTPErrorProcessor(),
        urllib.request.HTTPDefaultErrorHandler(),
    ):
        opener.add_handler(handler)
    return opener


def _login(settings: OAuthSettings) -> str:
    """Id and secret as HTTP Basic has them (RFC 6749, 2.3.1)."""
    secret = settings.client_secret.reveal() if settings.client_secret is not None else ""
    return base64.b64encode(f"{quote_plus(settings.client_id)}:{quote_plus(secret)}".encode()).decode()


def _tls(settings: OAuthSettings) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=settings.ca_file)
    except OSError as error:  # ssl.SSLError is one
        raise ConfigurationError(
            f"{settings.ca_file} holds no certificates ({error.strerror or error}): set {_VARIABLES}CA_FILE to a PEM "
            "file"
        ) from None


def _unreachable(settings: OAuthSettings, reason: object) -> KallbackError:
    if isinstance(reason, ssl.SSLCertVerificationError):
        certificate = f"the certificate of the token endpoint {settings.shown_url}"
        refusal = refusal_with_its_own_remedy(
            reason,
            "endpoint",
            certificate=certificate,
            ca_variable=f"{_VARIABLES}CA_FILE",
            address_variable=f"{_VARIABLES}TOKEN_URL",
        )
        return AccessDeniedError(
            refusal
            or f"{certificate} is not trusted ({words_of(reason)}): set {_VARIABLES}CA_FILE to the PEM file of the "
            "authority that signed it"
        )
    return _not_reached(settings, str(reason))


def _not_reached(settings: OAuthSettings, why: str) -> KafkaUnavailableError:
    return KafkaUnavailableError(
        f"no access token for Kafka: the token endpoint {settings.shown_url} does not answer ({why}): start it, or set "
        f"{_VARIABLES}TOKEN_URL to where it runs"
    )


def _refusal(status: int, body: bytes, settings: OAuthSettings, where: str) -> KallbackError:
    said = _said(body, settings)
    if status in _DENIED:
        return AccessDeniedError(
            f"no access token for Kafka: {where} refuses this client (status {status}{said}): check "
            f"{_VARIABLES}CLIENT_ID, _CLIENT_SECRET (or _CLIENT_SECRET_FILE), _SCOPE and _PARAMETERS"
        )
    if status in _TRY_AGAIN or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return KafkaUnavailableError(
            f"no access token for Kafka: {where} is unavailable (status {status}{said}); trying again may help"
        )
    return ConfigurationError(
        f"no access token for Kafka: {where} answered with status {status}{said}: check {_VARIABLES}TOKEN_URL"
    )


def _said(body: bytes, settings: OAuthSettings) -> str:
    """What a refusal says of itself, in bounds and without the client's secret, in case it repeats it."""
    members = _json_object(body) or {}
    texts = [each for name in ("error", "error_description") if isinstance(each := members.get(name), str)]
    words = " ".join(texts)
    if settings.client_secret is not None:
        secret = settings.client_secret.reveal()
        for form in (_login(settings), secret, quote_plus(secret)):
            words = words.replace(form, "***")
    words = "".join(char if char.isprintable() else " " for char in words)[:_MAX_SAID]
    return f": {words}" if words else ""


def _json_object(body: bytes) -> Mapping[str, object] | None:
    try:
        value: object = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return cast("dict[str, object]", value) if isinstance(value, dict) else None
