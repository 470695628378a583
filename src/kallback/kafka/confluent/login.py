"""How librdkafka logs in with SASL: its options, its access tokens, and passwords that change in their file.

librdkafka asks for tokens itself, and keeps a password until it is told another one. So whoever polls a client looks at
times whether the password has changed; it counts from the next login on.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from kallback.kafka.login.token_source import token_source, uses_tokens
from kallback.settings import SaslMechanism

if TYPE_CHECKING:
    from confluent_kafka import Consumer, Producer
    from confluent_kafka.admin import AdminClient

    from kallback.settings import KafkaSettings


class OAuthCallback:
    """What librdkafka calls for an access token: at first, and again after four fifths of its lifetime.

    librdkafka calls it in a thread that polls the client; what it raises reaches `ClientErrors`.
    """

    def __init__(self, settings: KafkaSettings) -> None:
        self._source = token_source(settings)
        self._extensions = dict(settings.security.oauth.extensions)

    def __call__(self, _config: str) -> tuple[str, float, str, dict[str, str]]:
        """Return the token, its expiry in epoch seconds, no principal (the token has it), and the extensions."""
        token = self._source.token()
        return token.text.reveal(), token.expires_at, "", self._extensions


class PasswordRenewal:
    """Tells clients a password that has changed in its file. The thread that owns the client calls it.

    Args:
        settings: of the client, which was made with the password that they have now.
    """

    def __init__(self, settings: KafkaSettings) -> None:
        self._security = settings.security
        self._password = None if self._security.password is None else self._security.password.reveal()

    def look(self, client: Producer | Consumer | AdminClient) -> None:
        """Tell the client the password if it is another one; costs nothing to speak of."""
        secret = self._security.password
        if secret is None or (password := secret.reveal()) is self._password:
            return
        self._password = password
        client.set_sasl_credentials(self._security.username or "", password)


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
