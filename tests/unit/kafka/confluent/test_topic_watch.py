"""How often Kafka is asked about topics."""

from __future__ import annotations

import pytest

from kallback.kafka.confluent.topic_watch import TopicWatch
from kallback.settings import KafkaSettings


def test_whoever_hurries_asks_once_a_second_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    """The client may report the same missing partition many times a second."""
    watch = TopicWatch(KafkaSettings(), ["results"])
    asked: list[float] = []
    for tenths in range(30):
        monkeypatch.setattr(watch, "_ask", lambda _, now=tenths / 10: asked.append(now))
        watch.look(tenths / 10)
        watch.hurry()
    assert asked == [0.0, 1.0, 2.0]
