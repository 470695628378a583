"""A new client in the place of one whose files have changed."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import pytest
from confluent_kafka import Producer

from kallback.kafka.confluent.login import LoginRenewal
from kallback.protocol.errors import AccessDeniedError, KafkaUnavailableError, KallbackError
from kallback.settings import KafkaSecurity, KafkaSettings, SecurityProtocol
from kallback.testing.log_capture import capture_logs


@dataclass
class Renewing:
    """A client whose file has just changed, and what making another one comes to."""

    settings: KafkaSettings
    now: float = 0.0
    failure: KallbackError | None = None
    made: list[str] = field(default_factory=list[str])

    def __post_init__(self) -> None:
        self.renewal = LoginRenewal(self.settings, lambda: self.now)

    def look(self, seconds: float) -> str | None:
        """Look after so many seconds."""
        self.now += seconds
        return self.renewal.renewed(Producer({}), self._make, "producer")

    def _make(self) -> str:
        if self.failure is not None:
            raise self.failure
        self.made.append("client")
        return "client"


@pytest.fixture
def renewing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Renewing:
    """One whose file changes before the first look."""
    authority = tmp_path / "ca.pem"
    authority.write_text("old")
    security = KafkaSecurity(protocol=SecurityProtocol.SSL, ca_file=authority)
    looks = iter([True])
    made = Renewing(KafkaSettings("127.0.0.1:1", security))
    monkeypatch.setattr(made.renewal._files, "changed", lambda: next(looks, False))
    return made


def test_a_server_that_is_away_is_no_fault_of_the_files(renewing: Renewing) -> None:
    """The files will not change again, so a new client is made when the server answers; the log says it once."""
    renewing.failure = KafkaUnavailableError("no broker answered")
    with capture_logs("kallback.kafka") as lines:
        assert [renewing.look(seconds) for seconds in (0, 1, 4, 5)] == [None] * 4
        renewing.failure = None
        assert [renewing.look(seconds) for seconds in (1, 4, 5)] == [None, "client", None]
    assert [each["event"] for each in lines] == [
        "files of a Kafka client changed, a new client cannot be made now and is tried again",
        "files of a Kafka client changed: a new client takes its place",
    ]


def test_files_that_cannot_be_used_are_not_tried_again(renewing: Renewing) -> None:
    """Only another change helps."""
    renewing.failure = AccessDeniedError("the certificate is not trusted")
    assert renewing.look(0) is None
    renewing.failure = None
    assert [renewing.look(60), renewing.made] == [None, []]


@pytest.mark.parametrize("failure", [None, AccessDeniedError("the certificate is not trusted")])
def test_a_change_of_files_is_one_line_for_all_clients_of_the_process(
    tmp_path: Path, failure: AccessDeniedError | None
) -> None:
    """Each of them notices it; the next change is another line."""
    authority = tmp_path / "ca.pem"
    authority.write_text("old")
    settings = KafkaSettings("127.0.0.1:1", KafkaSecurity(protocol=SecurityProtocol.SSL, ca_file=authority))
    clients = [Renewing(settings) for _ in range(4)]
    with capture_logs("kallback.kafka") as lines:
        for content in ("new", "newer", "new, and another time"):
            authority.write_text(content)
            for client in clients:
                client.failure = failure
                settle(client)
    assert len([each for each in lines if each["log_level"] != "debug"]) == 3


def settle(client: Renewing) -> None:
    """Look until a change is over."""
    files = client.renewal._files
    files._next_look = 0.0
    client.look(60)
    files._next_look = 0.0
    client.look(60)
