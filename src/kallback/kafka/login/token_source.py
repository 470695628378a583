"""The access token of a process: fetched once for all its Kafka clients, and renewed in time.

Ownership: there is one source for equal settings, for the life of the process. Any thread may ask; one of them fetches
while the others wait. While a renewal fails, the token that is there is used until it expires: connections that are
made meanwhile work, and nothing ends because of a token endpoint that is being restarted.
"""

from __future__ import annotations

import inspect
import threading
import time
from typing import TYPE_CHECKING, Final, cast

from kallback.kafka.login.access_token import AccessToken, check_token
from kallback.kafka.login.token_endpoint import fetch_token
from kallback.protocol.errors import ConfigurationError, KafkaUnavailableError, KallbackError
from kallback.settings import SaslMechanism, Secret, named_log
from kallback.settings.named_objects import named_object

if TYPE_CHECKING:
    from collections.abc import Callable

    from kallback.settings import KafkaSettings, OAuthSettings

log: Final = named_log("kallback.kafka")
_PROVIDER: Final = "KALLBACK_KAFKA_SASL_OAUTH_PROVIDER"
_RETRY_PAUSE_S: Final = 2.0
"""Between two questions that fail: several clients ask, and each of them many times."""


class TokenSource:
    """Returns a token that is good now.

    Args:
        fetch: returns a new one; blocks.
        clock: epoch seconds.

    Attributes:
        failure: why there was no new token last time; None if there was one.
    """

    def __init__(self, fetch: Callable[[], AccessToken], clock: Callable[[], float] = time.time) -> None:
        self._fetch: Final = fetch
        self._clock: Final = clock
        self._lock: Final = threading.Lock()
        self._token: AccessToken | None = None
        self._renew_at = 0.0
        self._retry_at = 0.0
        self.failure: KallbackError | None = None

    def token(self) -> AccessToken:
        """Return the token, a new one if four fifths of its lifetime are over; blocks while one is fetched.

        Raises:
            KallbackError: there is no token that is good, and no new one; the sentence says why.
        """
        with self._lock:
            now = self._clock()
            if now >= self._renew_at and now >= self._retry_at:
                self._renew(now)
            if self._token is not None and self._token.expires_at > now:
                return self._token
            raise cast("KallbackError", self.failure).with_traceback(None)

    def _renew(self, now: float) -> None:
        try:
            self._token = self._fetch()
        except KallbackError as error:
            self._retry_at = self._clock() + _RETRY_PAUSE_S
            if self.failure is None and self._token is not None:
                left = round(self._token.expires_at - now)
                log.warning("access token not renewed, trying again", expires_in_seconds=left, reason=str(error))
            self.failure = error
            return
        if self.failure is not None:
            log.info("access token renewed")
        self._renew_at = self._token.renew_at(now)
        self._retry_at = 0.0
        self.failure = None


_sources: Final[dict[object, TokenSource]] = {}
_sources_lock: Final = threading.Lock()


def token_source(settings: KafkaSettings) -> TokenSource:
    """Return the source of tokens for these settings; equal settings share one.

    Raises:
        ConfigurationError: the token provider cannot be imported, or is no function.
    """
    oauth = settings.security.oauth
    key = (
        *(oauth.token_url, oauth.client_id, oauth.client_secret, oauth.scope, oauth.ca_file, oauth.provider),
        tuple(sorted(oauth.parameters.items())),
    )
    with _sources_lock:
        if key not in _sources:
            _sources[key] = TokenSource(_fetcher(oauth))
        return _sources[key]


def uses_tokens(settings: KafkaSettings) -> bool:
    """Whether clients log in with access tokens."""
    security = settings.security
    return security.protocol.uses_sasl and security.mechanism is SaslMechanism.OAUTHBEARER


def token_failure(settings: KafkaSettings) -> KallbackError | None:
    """Why there is no access token, if these settings need one and the last try to get one failed."""
    return token_source(settings).failure if uses_tokens(settings) else None


def _fetcher(oauth: OAuthSettings) -> Callable[[], AccessToken]:
    if not oauth.provider:
        return lambda: fetch_token(oauth)
    found = named_object(_PROVIDER, oauth.provider, "a function that returns tokens")
    if not callable(found):
        raise ConfigurationError(
            f"{_PROVIDER}={oauth.provider!r} names no function: write one that returns a token and when it expires "
            "(epoch seconds)"
        )
    provider = cast("Callable[[], object]", found)
    return lambda: provided_token(provider, oauth.provider)


def provided_token(provider: Callable[[], object], name: str) -> AccessToken:
    """Return the token of a function of the user's.

    Raises:
        KafkaUnavailableError: the function raised; it may do better the next time.
        ConfigurationError: what it returned is no token with its expiry.
    """
    what = f"the token provider {name}"
    try:
        returned: object = provider()
    except Exception as error:  # noqa: BLE001 - the user's function may raise anything
        raise KafkaUnavailableError(
            f"no access token for Kafka: {what} failed ({type(error).__name__}: {error}): see what it needs"
        ) from None
    kind = type(returned).__name__
    if inspect.iscoroutine(returned):
        returned.close()
    pair = cast("tuple[object, ...]", returned) if isinstance(returned, tuple) else ()
    text, expires_at = pair if len(pair) == 2 else (None, None)  # noqa: PLR2004 - token and expiry
    if not isinstance(text, str) or not isinstance(expires_at, int | float):
        raise ConfigurationError(
            f"{what} returned a {kind}: let it be a plain function that returns a tuple of the "
            "token's text and the time of its expiry (epoch seconds)"
        )
    check_token(text, expires_at, time.time(), what)
    return AccessToken(Secret(text), expires_at)
