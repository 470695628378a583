"""The access token of a process: fetched once for all its Kafka clients, and renewed in time.

Ownership: there is one source for equal settings, for the life of the process. Any thread may ask; one of them fetches
while the others wait. While a renewal fails, the token that is there is used until it expires: connections that are
made meanwhile work, and nothing ends because of a token endpoint that is being restarted.

A token ages by two clocks, and is old as soon as one of them says so: the time of day may be set back, and the other
clock stands still while the machine sleeps.

A token that a broker refuses may have been revoked, or its server has new keys: the next one who asks gets a new token,
at most once in ten seconds. While there is no new one, it is used nevertheless.

Once a broker has let this process in, no refusal of a token is for good, neither by a broker nor by the endpoint: the
clients that are there log in again and again, and a new one that takes the place of one of them must not end more.
"""

from __future__ import annotations

import math
import threading
import time
from typing import TYPE_CHECKING, Final, cast

from kallback.kafka.login.token_function import TokenFunction
from kallback.protocol.errors import ConfigurationError, KafkaUnavailableError, KallbackError
from kallback.settings import SaslMechanism, named_log
from kallback.settings.named_objects import named_object
from kallback.settings.secret import hidden

if TYPE_CHECKING:
    from collections.abc import Callable

    from kallback.kafka.login.access_token import AccessToken
    from kallback.settings import KafkaSettings, OAuthSettings

log: Final = named_log("kallback.kafka")
_PROVIDER: Final = "KALLBACK_KAFKA_SASL_OAUTH_PROVIDER"
_TOO_SHORT: Final = (
    "no access token for Kafka: the one that was issued had expired when it arrived: give tokens a longer life, and "
    "see why their issuer takes so long"
)
_RETRY_PAUSE_S: Final = 2.0
"""Between two questions that fail: several clients ask, and each of them many times."""
_REFUSED_AGE_S: Final = 10.0
"""Of a token, before which a refusal does not bring a new one: it would be refused as well, and each client says it."""


class TokenSource:
    """Returns a token that is good now.

    Args:
        fetch: returns a new one; blocks.
        clock: epoch seconds.
        elapsed: seconds that nobody sets.

    Attributes:
        failure: why there was no new token last time; None if there was one.
    """

    def __init__(
        self,
        fetch: Callable[[], AccessToken],
        clock: Callable[[], float] = time.time,
        elapsed: Callable[[], float] = time.monotonic,
    ) -> None:
        self._fetch: Final = fetch
        self._clock: Final = clock
        self._elapsed: Final = elapsed
        self._lock: Final = threading.Lock()
        self._token: AccessToken | None = None
        self._asked_at = 0.0
        self._asked_after = 0.0
        self._retry_after = -math.inf
        self._is_refused = False
        self._was_accepted = False
        self.failure: KallbackError | None = None

    def token(self) -> AccessToken:
        """Return the token, a new one if four fifths of its lifetime are over; blocks while one is fetched.

        Raises:
            KallbackError: there is no token that is good, and no new one; the sentence says why.
        """
        with self._lock:
            if self._is_due() and self._elapsed() >= self._retry_after:
                self._renew()
            if self._token is not None and self._age() < self._lifetime(self._token):
                return self._token
            raise cast("KallbackError", self.failure).with_traceback(None)

    def refused(self) -> None:
        """Take note that a broker refuses the token; from any thread, and as often as it happens. Does not block.

        A refusal of an older token than the present one, or for another reason, costs a token of the endpoint.
        """
        if self._elapsed() - self._asked_after >= _REFUSED_AGE_S and not self._is_refused:
            log.warning("the broker refuses the access token: a new one is asked for")
            self._is_refused = True

    def accepted(self) -> None:
        """Take note that a broker has let this process in; from any thread, and as often as it happens."""
        self._was_accepted = True

    def refusal(self, error: KallbackError) -> KallbackError:
        """Return what a refused login means: the error, or that it may pass if a broker let this process in before."""
        if not self._was_accepted or isinstance(error, KafkaUnavailableError):
            return error
        return KafkaUnavailableError(
            f"{error}; this process was let in before, so it logs in again with the next token"
        )

    def _is_due(self) -> bool:
        if self._token is None or self._is_refused:
            return True
        return self._asked_at + self._age() >= self._token.renew_at(self._asked_at)

    def _age(self) -> float:
        """Seconds since the token was asked for, by the clock that says more."""
        return max(self._clock() - self._asked_at, self._elapsed() - self._asked_after)

    def _lifetime(self, token: AccessToken) -> float:
        return token.expires_at - self._asked_at

    def _renew(self) -> None:
        asked_at, asked_after = self._clock(), self._elapsed()
        try:
            token = self._fetch()
            if asked_at + max(self._clock() - asked_at, self._elapsed() - asked_after) >= token.expires_at:
                raise KafkaUnavailableError(_TOO_SHORT)
        except KallbackError as error:
            self._retry_after = self._elapsed() + _RETRY_PAUSE_S
            if self.failure is None and self._token is not None:
                left = round(self._lifetime(self._token) - self._age())
                log.warning("access token not renewed, trying again", expires_in_seconds=left, reason=str(error))
            self.failure = self.refusal(error)
            return
        if self.failure is not None:
            log.info("access token renewed")
        self._token, self._asked_at, self._asked_after = token, asked_at, asked_after
        self._is_refused = False
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
        hidden(oauth.parameters).source,
    )
    with _sources_lock:
        if key not in _sources:
            _sources[key] = TokenSource(_fetcher(oauth))
        return _sources[key]


def uses_tokens(settings: KafkaSettings) -> bool:
    """Whether clients log in with access tokens."""
    security = settings.security
    return security.protocol.uses_sasl and security.mechanism is SaslMechanism.OAUTHBEARER


def token_refused(settings: KafkaSettings) -> None:
    """Take note that a broker has refused a login of these settings; see `TokenSource.refused`."""
    if uses_tokens(settings):
        token_source(settings).refused()


def token_accepted(settings: KafkaSettings) -> None:
    """Take note that a broker has let in a client of these settings; see `TokenSource.accepted`."""
    if uses_tokens(settings):
        token_source(settings).accepted()


def login_refusal(settings: KafkaSettings, error: KallbackError) -> KallbackError:
    """Return the error for a refused login of these settings; see `TokenSource.refusal`."""
    return token_source(settings).refusal(error) if uses_tokens(settings) else error


def token_failure(settings: KafkaSettings) -> KallbackError | None:
    """Why there is no access token, if these settings need one and the last try to get one failed."""
    return token_source(settings).failure if uses_tokens(settings) else None


def why_no_token(settings: KafkaSettings) -> str:
    """The sentence of `token_failure`; empty without one."""
    failure = token_failure(settings)
    return "" if failure is None else str(failure)


def _fetcher(oauth: OAuthSettings) -> Callable[[], AccessToken]:
    if not oauth.provider:
        from kallback.kafka.login.token_endpoint import fetch_token  # noqa: PLC0415 - an HTTP client, for few processes

        return lambda: fetch_token(oauth)
    found = named_object(_PROVIDER, oauth.provider, "a function that returns tokens")
    if not callable(found):
        raise ConfigurationError(
            f"{_PROVIDER}={oauth.provider!r} names no function: write one that returns a token and when it expires "
            "(epoch seconds)"
        )
    return TokenFunction(cast("Callable[[], object]", found), oauth.provider)
