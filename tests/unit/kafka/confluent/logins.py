"""Two ways to log in: with access tokens, and with a password."""

from __future__ import annotations

from kallback.settings import KafkaSecurity, OAuthSettings, SaslMechanism, Secret, SecurityProtocol

TOKENS = KafkaSecurity(
    protocol=SecurityProtocol.SASL_SSL, mechanism=SaslMechanism.OAUTHBEARER, oauth=OAuthSettings(provider="module:name")
)
PASSWORD = KafkaSecurity(
    protocol=SecurityProtocol.SASL_SSL, mechanism=SaslMechanism.PLAIN, username="a", password=Secret("b")
)
