"""With aiokafka, what a start asks does not wait for the end of a fetch.

A broker answers the requests of a connection one after the other, and a fetch is answered after half a second where no
records come. A worker asked three questions behind fetches before it took its first task.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from aiokafka.conn import AIOKafkaConnection

from kallback.kafka.aiokafka.clients import AiokafkaClients

if TYPE_CHECKING:
    from kallback.settings import KafkaSettings
    from kallback.testing.topics import TopicFactory

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]

FETCH = "FetchRequest"
Sent = list[tuple[int, str]]


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> Sent:
    """The requests, each with the connection that carries it."""
    requests: Sent = []
    send: Any = AIOKafkaConnection.send

    def noting(self: AIOKafkaConnection, request: Any, *args: Any, **options: Any) -> Any:
        requests.append((id(self), type(request).__name__))
        return send(self, request, *args, **options)

    monkeypatch.setattr(AIOKafkaConnection, "send", noting)
    return requests


def behind_fetches(sent: Sent) -> list[str]:
    """The questions that a connection carried after its first fetch."""
    found: list[str] = []
    fetching = set[int]()
    for connection, name in sent:
        if name == FETCH:
            fetching.add(connection)
        elif connection in fetching:
            found.append(name)
    return found


async def test_a_reader_asks_before_it_fetches(
    kafka_settings: KafkaSettings, topics_factory: TopicFactory, sent: Sent
) -> None:
    """A worker reads the control topic before it takes tasks, and most of the time there is nothing in it."""
    async with AiokafkaClients(kafka_settings).reader(topics_factory("control"), since_ms=1) as reader:
        await reader.fetch(0.1)
        assert reader.caught_up.is_set()
        assert behind_fetches(sent) == []
