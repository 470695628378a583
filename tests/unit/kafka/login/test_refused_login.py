"""A refused login says how it was tried, and what to check."""

from __future__ import annotations

import re
import ssl

import pytest

from kallback.kafka.login.refusals import (
    Listener,
    refused_certificate,
    refused_client_certificate,
    refused_login,
    refused_tls,
    wrong_listener,
)
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


def speaking(protocol: SecurityProtocol) -> KafkaSettings:
    """A client that was told this."""
    login = {"mechanism": SaslMechanism.PLAIN, **PASSWORD} if protocol.uses_sasl else {}
    return KafkaSettings(security=KafkaSecurity(protocol=protocol, **login))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("protocol", "tls", "mechanisms", "words"),
    [
        (SecurityProtocol.PLAINTEXT, False, (), None),
        (SecurityProtocol.SASL_SSL, True, ("PLAIN",), None),
        (
            SecurityProtocol.PLAINTEXT,
            False,
            ("PLAIN",),
            r"set it to SASL_PLAINTEXT, and the \w+_SASL_\* login",
        ),
        (SecurityProtocol.SASL_PLAINTEXT, False, (), "takes no login, .* set it to PLAINTEXT"),
        (SecurityProtocol.SSL, False, (), "speaks no TLS .* set it to PLAINTEXT"),
        (SecurityProtocol.PLAINTEXT, True, None, "set it to SSL, or to SASL_SSL if it wants a login"),
        (SecurityProtocol.SASL_PLAINTEXT, False, ("GSSAPI", "OAUTHBEARER"), "only with GSSAPI, OAUTHBEARER"),
    ],
)
def test_a_listener_that_speaks_otherwise(
    protocol: SecurityProtocol,
    tls: bool,  # noqa: FBT001 - a parameter of the test
    mechanisms: tuple[str, ...] | None,
    words: str | None,
) -> None:
    """The sentence has the value to set; where both agree there is none."""
    error = wrong_listener(speaking(protocol), Listener("kafka:9092", tls, mechanisms))
    assert (error is None) == (words is None)
    if words is not None:
        assert re.search(words, str(error)), error


@pytest.mark.parametrize(
    "words", ["sslv3 alert bad certificate", "TLSV13_ALERT_CERTIFICATE_REQUIRED", "alert unknown ca"]
)
def test_an_alert_about_the_clients_certificate(words: str) -> None:
    """As OpenSSL says it in several versions, and Python; other ends of a connection are not taken for it."""
    assert "KALLBACK_KAFKA_SSL_CERT_FILE" in str(refused_client_certificate(speaking(SecurityProtocol.SSL), words))
    assert refused_client_certificate(speaking(SecurityProtocol.SSL), "Connection reset by peer") is None
    assert "KALLBACK_KAFKA_SSL_CA_FILE" in str(refused_tls(speaking(SecurityProtocol.SSL), "certificate verify failed"))


@pytest.mark.parametrize(
    ("code", "words", "remedy"),
    [
        (10, "certificate has expired", "have it renewed on the broker"),
        (9, "certificate is not yet valid", "compare the clock"),
        (62, "Hostname mismatch, certificate is not valid for 'k'.", "set KALLBACK_KAFKA_BOOTSTRAP_SERVERS"),
        (64, "IP address mismatch, certificate is not valid for '10.0.0.1'.", "set KALLBACK_KAFKA_BOOTSTRAP_SERVERS"),
        (19, "self-signed certificate in certificate chain", "set KALLBACK_KAFKA_SSL_CA_FILE"),
        (92, "CA cert does not include key usage extension", "issue the authority"),
    ],
)
def test_a_brokers_certificate_that_is_refused_names_its_own_remedy(code: int, words: str, remedy: str) -> None:
    """An authority that is set does not help against one that has expired, or is for another host."""
    error = ssl.SSLCertVerificationError()
    error.verify_code, error.verify_message = code, words
    said = str(refused_certificate(speaking(SecurityProtocol.SSL), error))
    assert words.rstrip(".") in said
    assert remedy in said
    assert ("KALLBACK_KAFKA_SSL_CA_FILE" in said) is (code not in {9, 10, 62, 64})


def test_the_list_of_mechanisms_takes_the_place_of_advice() -> None:
    """Librdkafka has it in its words."""
    said = "Unsupported SASL mechanism: broker's supported mechanisms: SCRAM-SHA-512,SCRAM-SHA-256"
    error = str(refused_login(speaking(SecurityProtocol.SASL_SSL), said))
    assert (
        "takes no login with PLAIN, only with SCRAM-SHA-256, SCRAM-SHA-512: set KALLBACK_KAFKA_SASL_MECHANISM" in error
    )


def test_a_refused_token_may_have_expired() -> None:
    """The broker does not say which it was."""
    security = KafkaSecurity(protocol=SecurityProtocol.SASL_SSL, mechanism=SaslMechanism.OAUTHBEARER, oauth=TOKEN)
    said = str(refused_login(KafkaSettings(security=security), "invalid_token"))
    assert "expired" in said
    assert "clocks" in said
