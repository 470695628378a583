"""The console's page of settings shows where things are, and no secret of any kind."""

from __future__ import annotations

from kallback.cli.console.shown_settings import shown_settings
from kallback.settings import Settings


def test_the_login_is_shown_without_its_secrets() -> None:
    """The names of fields and extensions show; what may be secret in them does not."""
    token = "KALLBACK_KAFKA_SASL_OAUTH_"
    settings = Settings.from_env(
        {
            "KALLBACK_KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
            "KALLBACK_KAFKA_SASL_MECHANISM": "OAUTHBEARER",
            f"{token}TOKEN_URL": "https://login.example.com/token?code=hush-5",
            f"{token}CLIENT_ID": "kitchen",
            f"{token}CLIENT_SECRET": "hush-1",
            f"{token}PARAMETERS": '{"resource": "hush-2"}',
            f"{token}EXTENSIONS": '{"logicalCluster": "hush-3"}',
            "KALLBACK_KAFKA_EXTRA": '{"sasl.oauthbearer.config": "hush-4"}',
        }
    )
    shown = dict(shown_settings(settings))
    assert shown["kafka.security.oauth.token_url"] == "https://login.example.com/token?***"
    assert shown["kafka.security.oauth.scope"] == "not set"
    assert shown["kafka.security.oauth.client_secret"] == "set (hidden)"
    assert "logicalCluster" in shown["kafka.security.oauth.extensions"]
    assert "hush" not in str(shown)
