"""Both clients log in with the password that its file has now."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from aiokafka import conn

from kallback.kafka.aiokafka.login import login_config as aiokafka_login
from kallback.kafka.confluent.login import LoginRenewal
from kallback.settings import KafkaSecurity, KafkaSettings, SaslMechanism, SecurityProtocol
from kallback.settings.files.secret_file import SecretFile


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A password that is looked at each time."""
    monkeypatch.setattr("kallback.settings.files.secret_file._LOOK_INTERVAL_S", 0.0)
    file = tmp_path / "password"
    file.touch(0o600)
    file.write_text("the first")
    return file


def settings(file: Path, mechanism: SaslMechanism = SaslMechanism.PLAIN) -> KafkaSettings:
    """Log in with it."""
    password = SecretFile("KALLBACK_KAFKA_SASL_PASSWORD_FILE", file)
    protocol = SecurityProtocol.SASL_PLAINTEXT
    return KafkaSettings(
        security=KafkaSecurity(protocol=protocol, mechanism=mechanism, username="alice", password=password)
    )


class Client:
    """Notes what librdkafka would be told."""

    def __init__(self) -> None:
        self.told: list[tuple[str, str]] = []

    def set_sasl_credentials(self, user: str, password: str) -> None:
        """As a client of confluent-kafka."""
        self.told.append((user, password))


def test_librdkafka_is_told_a_new_password_once(file: Path) -> None:
    """And nothing while it is the same."""
    client: Any = Client()
    renewal = LoginRenewal(settings(file))
    renewal.look(client)
    file.write_text("the second")
    renewal.look(client)
    renewal.look(client)
    assert client.told == [("alice", "the second")]


def test_aiokafka_asks_for_the_password_at_each_login(file: Path) -> None:
    """Its own connection hands the password to the authenticators that kallback has put there."""

    def change() -> None:
        file.write_text("the second")

    async def authenticators() -> tuple[Any, Any]:
        login = aiokafka_login(settings(file, SaslMechanism.SCRAM_SHA_256))
        connection: Any = conn.AIOKafkaConnection("localhost", 1, **login)
        change()
        return connection.authenticator_plain(), connection.authenticator_scram()

    plain, scram = asyncio.run(authenticators())
    assert plain._sasl_plain_password == "the second"
    assert scram._sasl_plain_password == b"the second"
