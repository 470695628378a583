"""Making topics."""

from __future__ import annotations

import pytest

from kallback.kafka import Created, TopicSpec
from kallback.kafka.confluent import topics
from kallback.protocol.errors import AccessDeniedError, KallbackError, MissingTopicError
from kallback.settings import KafkaSettings

SPEC = TopicSpec("shop.pack", partitions=1, replication=1, config={})


@pytest.mark.parametrize(
    ("answers", "asked"),
    [
        ([MissingTopicError("not yet"), None], 2),
        ([AccessDeniedError("not allowed to look")], 1),
    ],
)
async def test_a_topic_is_created_when_kafka_answers_for_it(
    answers: list[KallbackError | None], asked: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker that starts right after it would end; who may not look is told what was created all the same."""
    left = list(answers)

    def check(*_: object) -> None:
        if (answer := left.pop(0)) is not None:
            raise answer

    monkeypatch.setattr(topics, "_create", lambda _settings, specs: [Created(each.name) for each in specs])
    monkeypatch.setattr(topics, "_check", check)
    assert await topics.create_topics(KafkaSettings("a:9092"), [SPEC]) == [Created("shop.pack")]
    assert len(answers) - len(left) == asked
