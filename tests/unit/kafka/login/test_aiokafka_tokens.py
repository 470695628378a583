"""The access token that aiokafka asks for, at each connection."""

from __future__ import annotations

import pytest
from aiokafka.errors import KafkaConnectionError

from kallback.kafka.aiokafka.login import TokenProvider
from kallback.kafka.login import token_source
from kallback.protocol.errors import KafkaUnavailableError
from kallback.settings import KafkaSecurity, KafkaSettings, OAuthSettings, SaslMechanism, SecurityProtocol


@pytest.mark.parametrize("error", [KafkaUnavailableError("the endpoint is down"), RuntimeError("of a library")])
async def test_no_failure_ends_the_tasks_of_the_client(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    """The client tries a connection that failed again; any other error would end its look at the cluster for good."""

    class Failing:
        """A source of tokens."""

        def token(self) -> object:
            """Return none."""
            raise error

    monkeypatch.setattr(token_source, "_fetcher", lambda _: Failing().token)
    monkeypatch.setattr(token_source, "_sources", {})
    security = KafkaSecurity(
        protocol=SecurityProtocol.SASL_SSL,
        mechanism=SaslMechanism.OAUTHBEARER,
        oauth=OAuthSettings(provider="module:name"),
    )
    provider = TokenProvider(KafkaSettings("127.0.0.1:1", security))
    with pytest.raises(KafkaConnectionError, match=str(error)):
        await provider.token()
