"""A refused login says how it was tried, and what to check."""

from __future__ import annotations

import pytest

from kallback.kafka.errors import refused_login
from kallback.settings import KafkaSecurity, KafkaSettings, OAuthSettings, SaslMechanism, Secret, SecurityProtocol

TOKEN = OAuthSettings(token_url="https://login.example.com/token", client_id="kitchen", client_secret=Secret("hush"))
PASSWORD = {"username": "alice", "password": Secret("hush")}


@pytest.mark.parametrize(
    ("mechanism", "login", "words"),
    [
        (SaslMechanism.PLAIN, PASSWORD, ("user 'alice'", "_PASSWORD_FILE", "KALLBACK_KAFKA_SASL_MECHANISM=PLAIN")),
        (SaslMechanism.SCRAM_SHA_512, PASSWORD, ("user 'alice'", "KALLBACK_KAFKA_SASL_MECHANISM=SCRAM-SHA-512")),
        (SaslMechanism.OAUTHBEARER, {"oauth": TOKEN}, ("access token", "audience", "KALLBACK_KAFKA_SASL_OAUTH_SCOPE")),
        (SaslMechanism.GSSAPI, {"kerberos_service": "broker"}, ("ticket", "klist", "broker/HOST")),
    ],
)
def test_the_mechanism_and_its_remedy(
    mechanism: SaslMechanism, login: dict[str, object], words: tuple[str, ...]
) -> None:
    """Each mechanism has other settings; no sentence has a secret."""
    security = KafkaSecurity(protocol=SecurityProtocol.SASL_SSL, mechanism=mechanism, **login)  # type: ignore[arg-type]
    said = str(refused_login(KafkaSettings(security=security), "the client's words"))
    for each in (f"login with {mechanism}", "the client's words", *words):
        assert each in said
    assert "hush" not in said
