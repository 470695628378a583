"""A function of the user's that returns access tokens (`KALLBACK_KAFKA_SASL_OAUTH_PROVIDER`).

It may raise, hang and return anything. A call that hangs keeps one thread, however often a token is asked for: it is
waited for again, and not repeated.
"""

from __future__ import annotations

import inspect
import time
from typing import TYPE_CHECKING, Final, cast

from kallback.kafka.login.access_token import AccessToken, check_token
from kallback.lifecycle import daemon_call
from kallback.protocol.errors import ConfigurationError, KafkaUnavailableError
from kallback.settings import Secret

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future

TIMEOUT_S: Final = 30.0
"""For one wait: chains of cloud credentials try several sources, each of which takes seconds."""

_MAX_SAID: Final = 500


class TokenFunction:
    """Returns a token of the function; one thread at a time calls it.

    Args:
        function: the user's.
        name: of it, MODULE:NAME.
        timeout: seconds of one wait.
    """

    def __init__(self, function: Callable[[], object], name: str, *, timeout: float = TIMEOUT_S) -> None:
        self._function: Final = function
        self._what: Final = f"the token provider {name}"
        self._timeout = timeout
        self._running: Future[object] | None = None

    def __call__(self) -> AccessToken:
        """Return a new token; blocks for the timeout at most.

        Raises:
            KafkaUnavailableError: the function raised or hangs; it may do better the next time.
            ConfigurationError: what it returned is no token with its expiry.
        """
        running = self._running = self._running or daemon_call(self._function, "kallback-token")
        try:
            error = running.exception(self._timeout)
        except TimeoutError:
            raise KafkaUnavailableError(
                f"no access token for Kafka: {self._what} has not returned within {self._timeout:g} s: let it give up "
                "earlier, and see what it waits for"
            ) from None
        self._running = None
        if error is not None:
            said = "".join(char if char.isprintable() else " " for char in str(error))[:_MAX_SAID]
            raise KafkaUnavailableError(
                f"no access token for Kafka: {self._what} failed ({type(error).__name__}: {said}): see what it needs"
            ) from None
        return self._checked(running.result())

    def _checked(self, returned: object) -> AccessToken:
        kind = type(returned).__name__
        if inspect.iscoroutine(returned):
            returned.close()
        pair = cast("tuple[object, ...]", returned) if isinstance(returned, tuple) else ()
        text, expires_at = pair if len(pair) == 2 else (None, None)  # noqa: PLR2004 - token and expiry
        if not isinstance(text, str) or not isinstance(expires_at, int | float):
            raise ConfigurationError(
                f"{self._what} returned a {kind}: let it be a plain function that returns a tuple of the "
                "token's text and the time of its expiry (epoch seconds)"
            )
        check_token(text, expires_at, time.time(), self._what)
        return AccessToken(Secret(text), expires_at)
