"""What aiokafka's connections use of the files of TLS."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from pathlib import Path

import pytest

from kallback.kafka.login.tls import tls_context
from kallback.protocol.errors import ConfigurationError
from kallback.settings import KafkaSecurity, KafkaSettings, SecurityProtocol


def test_nobody_is_asked_for_the_password_of_a_key(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Without a password OpenSSL would ask on the terminal, and block the event loop of a running process."""

    def load(_context: ssl.SSLContext, _cert: Path, _key: Path, password: Callable[[], str]) -> None:
        assert password() == ""
        raise ssl.SSLError("bad decrypt")

    monkeypatch.setattr(ssl.SSLContext, "load_cert_chain", load)
    security = KafkaSecurity(
        protocol=SecurityProtocol.SSL, cert_file=tmp_path / "tls.pem", key_file=tmp_path / "tls.key"
    )
    with pytest.raises(ConfigurationError, match=r"is encrypted: set KALLBACK_KAFKA_SSL_KEY_PASSWORD"):
        tls_context(KafkaSettings("127.0.0.1:1", security))


def test_clients_of_the_same_files_share_a_context(tmp_path: Path) -> None:
    """Each client would look for a change itself, and log it."""
    security = KafkaSecurity(protocol=SecurityProtocol.SSL)
    assert tls_context(KafkaSettings("a:1", security)) is tls_context(KafkaSettings("a:1", security))
    with pytest.raises(ConfigurationError):
        tls_context(KafkaSettings("a:1", KafkaSecurity(protocol=SecurityProtocol.SSL, ca_file=tmp_path / "none.pem")))
