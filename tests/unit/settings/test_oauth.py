"""Where access tokens come from is checked when settings are read: in sentences that name the variable."""

from __future__ import annotations

import pytest

from kallback.protocol.errors import ConfigurationError
from kallback.settings import SaslMechanism, Settings

LOGIN = {"KALLBACK_KAFKA_SECURITY_PROTOCOL": "SASL_SSL", "KALLBACK_KAFKA_SASL_MECHANISM": "OAUTHBEARER"}
TOKEN = "KALLBACK_KAFKA_SASL_OAUTH_"
ENDPOINT = {
    f"{TOKEN}TOKEN_URL": "https://login.example.com/token",
    f"{TOKEN}CLIENT_ID": "kitchen",
    f"{TOKEN}CLIENT_SECRET": "hush",
}


def test_a_token_endpoint_is_read() -> None:
    """All of it; what may be a secret does not show."""
    settings = Settings.from_env(
        LOGIN
        | ENDPOINT
        | {f"{TOKEN}SCOPE": "a b", f"{TOKEN}PARAMETERS": '{"audience": "h1dden"}'}
        | {f"{TOKEN}EXTENSIONS": '{"logicalCluster": "lkc-h1dden"}'}
    )
    security = settings.kafka.security
    assert security.mechanism is SaslMechanism.OAUTHBEARER
    assert security.oauth.token_url == "https://login.example.com/token"
    assert security.oauth.scope == "a b"
    assert dict(security.oauth.parameters) == {"audience": "h1dden"}
    assert dict(security.oauth.extensions) == {"logicalCluster": "lkc-h1dden"}
    assert "hush" not in repr(settings)
    assert "h1dden" not in repr(settings)


def test_kerberos_needs_neither_user_nor_password() -> None:
    """The ticket is the process's."""
    variables = LOGIN | {"KALLBACK_KAFKA_SASL_MECHANISM": "gssapi", "KALLBACK_KAFKA_SASL_KERBEROS_SERVICE": "broker"}
    security = Settings.from_env(variables).kafka.security
    assert (security.mechanism, security.kerberos_service) == (SaslMechanism.GSSAPI, "broker")


@pytest.mark.parametrize(
    ("changed", "remedy"),
    [
        ({f"{TOKEN}CLIENT_SECRET": ""}, f"set {TOKEN}TOKEN_URL, _CLIENT_ID and _CLIENT_SECRET"),
        ({f"{TOKEN}TOKEN_URL": ""}, f"set {TOKEN}TOKEN_URL"),
        ({f"{TOKEN}PROVIDER": "tokens:fetch"}, f"unset {TOKEN}PROVIDER"),
        ({f"{TOKEN}TOKEN_URL": "login.example.com"}, "https://login.example.com"),
        ({f"{TOKEN}TOKEN_URL": "https://me:pass@login.example.com"}, "without user or password"),
        ({f"{TOKEN}TOKEN_URL": "http://login.example.com/token"}, "use https"),
        ({f"{TOKEN}PARAMETERS": '{"client_secret": "x"}'}, "may not have client_secret"),
        ({f"{TOKEN}EXTENSIONS": '{"auth": "x"}'}, "no SASL extension"),
        ({f"{TOKEN}EXTENSIONS": '{"a": "x\\u0001auth=y"}'}, "no SASL extension"),
        ({"KALLBACK_KAFKA_SASL_USERNAME": "me"}, "takes no user name"),
        ({"KALLBACK_KAFKA_SASL_MECHANISM": "GSSAPI"}, "to OAUTHBEARER"),
        ({"KALLBACK_KAFKA_SECURITY_PROTOCOL": "SSL"}, "SASL_SSL"),
    ],
)
def test_what_cannot_work_is_refused(changed: dict[str, str], remedy: str) -> None:
    """Before anything is connected; no sentence repeats a secret."""
    with pytest.raises(ConfigurationError, match=remedy) as caught:
        Settings.from_env(LOGIN | ENDPOINT | changed)
    assert "hush" not in str(caught.value)
    assert "pass@" not in str(caught.value)


@pytest.mark.parametrize("url", ["http://localhost:1/token", "http://127.0.0.1:1/token", "http://[::1]:1/token"])
def test_plain_http_is_for_this_host(url: str) -> None:
    """Elsewhere it has to be asked for."""
    Settings.from_env(LOGIN | ENDPOINT | {f"{TOKEN}TOKEN_URL": url})
    elsewhere = {f"{TOKEN}TOKEN_URL": "http://login.internal/token", f"{TOKEN}ALLOW_HTTP": "1"}
    Settings.from_env(LOGIN | ENDPOINT | elsewhere)
