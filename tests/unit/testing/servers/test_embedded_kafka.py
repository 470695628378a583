"""librdkafka's embedded broker."""

from __future__ import annotations

import pytest

from kallback.testing import NotOursError, TopicFactory
from kallback.testing.servers.embedded_kafka import EmbeddedKafka


def test_topics_can_be_made_on_it() -> None:
    """It has no CreateTopics; looking at a topic makes it."""
    server = EmbeddedKafka()
    server.start()
    try:
        assert TopicFactory(server)("orders").startswith("orders.")
    finally:
        server.close()


def test_it_cannot_be_killed_alone() -> None:
    """It is a part of this process."""
    with pytest.raises(NotOursError, match="install Java"):
        EmbeddedKafka().kill()
