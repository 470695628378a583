"""How long a start waits for Kafka."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from kallback.kafka.aiokafka import bootstrap, topics
from kallback.protocol.errors import KafkaUnavailableError
from kallback.settings import KafkaSettings


class LateKafka:
    """Refuses connections for a number of tries."""

    def __init__(self, refused: int) -> None:
        self.tries = 0
        self._refused = refused

    async def check(self, settings: KafkaSettings, names: Sequence[str]) -> None:
        """Answer or refuse."""
        del settings, names
        self.tries += 1
        if self.tries <= self._refused:
            raise KafkaUnavailableError("connection refused")


async def test_a_kafka_that_is_about_to_listen_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that is started beside its Kafka does not end because it was first."""
    kafka = LateKafka(refused=2)
    monkeypatch.setattr(topics, "_check", kafka.check)
    monkeypatch.setattr(bootstrap, "_RETRY_S", 0.0)
    await topics.check_topics(KafkaSettings("localhost:9", connect_timeout=60), ["t"])
    assert kafka.tries == 3


async def test_a_kafka_that_is_not_there_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """When the connect timeout is over."""
    kafka = LateKafka(refused=10)
    monkeypatch.setattr(topics, "_check", kafka.check)
    with pytest.raises(KafkaUnavailableError):
        await topics.check_topics(KafkaSettings("localhost:9", connect_timeout=0.01), ["t"])
    assert kafka.tries == 1
