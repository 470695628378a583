"""How librdkafka logs in: options of SASL, access tokens, and passwords and TLS files that change.

librdkafka asks for tokens itself, and keeps a password until it is told another one. It reads the files of TLS when a
client is made, and never again. So whoever polls a client looks at times whether something has changed.
"""

from __future__ import annotations

import asyncio
import threading
import time
from typing import TYPE_CHECKING, Any, Final, TypeVar

from kallback.kafka.login.access_token import LIFETIME_SHARE
from kallback.kafka.login.connection_files import SettledConnectionFiles
from kallback.kafka.login.token_source import token_source, uses_tokens
from kallback.protocol.errors import KallbackError, UnavailableError
from kallback.settings import SaslMechanism, named_log

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from confluent_kafka import Consumer, Producer
    from confluent_kafka.admin import AdminClient

    from kallback.settings import KafkaSettings


T = TypeVar("T")

log: Final = named_log("kallback.kafka")
_ASKED_EVERY_S: Final = 15.0
"""How often librdkafka looks for another token; costs nothing while there is none."""
_AGAIN_AFTER_S: Final = 5.0
"""Between two tries to make a new client while a server does not answer."""


_told: Final[dict[tuple[tuple[Path, ...], str], bytes]] = {}
"""What these files held when the process said so last."""
_told_lock: Final = threading.Lock()


class OAuthCallback:
    """What librdkafka calls for an access token: at first, and again after four fifths of the lifetime that it is told.

    It is told a short one, because nothing else makes it ask: a token that a broker refuses is replaced long before it
    expires. librdkafka calls it in a thread that polls the client; what it raises reaches `ClientErrors`.
    """

    def __init__(self, settings: KafkaSettings) -> None:
        self._source = token_source(settings)
        self._extensions = settings.security.oauth.extensions

    def __call__(self, _config: str) -> tuple[str, float, str, dict[str, str]]:
        """Return the token, until when it is used (epoch seconds), no principal (the token has it), the extensions."""
        token = self._source.token()
        used_until = min(token.expires_at, time.time() + _ASKED_EVERY_S / LIFETIME_SHARE)
        return token.text.reveal(), used_until, "", dict(self._extensions.items())


class LoginRenewal:
    """Looks whether a client has to log in otherwise from now on. The thread that owns the client calls it.

    A password can be told to a client. What the files of TLS hold, and further options, it has once for all: a new
    client has to take its place.

    Args:
        settings: of the client, which was made with what the files hold now.
        clock: seconds that nobody sets.
    """

    def __init__(self, settings: KafkaSettings, clock: Callable[[], float] = time.monotonic) -> None:
        self._security = settings.security
        self._password = None if self._security.password is None else self._security.password.reveal()
        self._files = SettledConnectionFiles(settings)
        self._clock = clock
        self._again_at: float | None = None

    def look(self, client: Producer | Consumer | AdminClient) -> bool:
        """Tell the client the password if it is another one; costs nothing to speak of.

        Returns:
            Whether a new client should take its place.
        """
        secret = self._security.password
        if secret is not None and (password := secret.reveal()) is not self._password:
            self._password = password
            client.set_sasl_credentials(self._security.username or "", password)
        return self._files.changed() or (self._again_at is not None and self._clock() >= self._again_at)

    def renewed(self, present: Producer | Consumer | AdminClient, make: Callable[[], T], client: str) -> T | None:
        """Look, and return a client that takes the place of the present one; None without a change.

        If it cannot be made the log says so, and the present one is kept until the files change again; where Kafka or
        a token endpoint does not answer, which is no fault of the files, until the next try.

        Args:
            present: the client.
            make: makes one with what the files hold now.
            client: what it is, for the log.
        """
        if not self.look(present):
            return None
        was_away, self._again_at = self._again_at is not None, None
        try:
            fresh = make()
        except UnavailableError as error:
            self._again_at = self._clock() + _AGAIN_AFTER_S
            if not was_away:
                log.warning(
                    "files of a Kafka client changed, a new client cannot be made now and is tried again",
                    client=client,
                    reason=str(error),
                )
            return None
        except KallbackError as error:
            event = "files of a Kafka client changed and cannot be used, it is kept as it is"
            (log.warning if self._is_news(event) else log.debug)(event, client=client, reason=str(error))
            return None
        event = "files of a Kafka client changed: a new client takes its place"
        (log.info if self._is_news(event) else log.debug)(event, client=client)
        return fresh

    def _is_news(self, event: str) -> bool:
        """Whether no other client of the process has said the same of the same change: all of them notice it."""
        files, digest = self._files.contents
        with _told_lock:
            before, _told[files, event] = _told.get((files, event)), digest
        return before != digest


def login_config(settings: KafkaSettings) -> dict[str, Any]:
    """Return librdkafka's options for a login.

    Raises:
        KallbackError: there is no access token.
    """
    security = settings.security
    config: dict[str, Any] = {"sasl.mechanism": security.mechanism.value}
    if security.password is not None:
        config |= {"sasl.username": security.username, "sasl.password": security.password.reveal()}
    if security.mechanism is SaslMechanism.OAUTHBEARER:
        config["oauth_cb"] = callback = OAuthCallback(settings)
        callback("")  # without a token the client's constructor would wait ten seconds, and then not say why
    if security.mechanism is SaslMechanism.GSSAPI:
        config["sasl.kerberos.service.name"] = security.kerberos_service
    return config


async def prepare_login(settings: KafkaSettings) -> None:
    """Fetch the access token that a client needs, without blocking the loop on which the client is made.

    Raises:
        KallbackError: there is none.
    """
    if uses_tokens(settings):
        await asyncio.to_thread(token_source(settings).token)
