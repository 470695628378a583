"""What a caller is told of a call that an access token did not outlive."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any, NoReturn

import pytest
from confluent_kafka import KafkaError, KafkaException
from tests.unit.kafka.confluent.logins import PASSWORD, TOKENS

from kallback.kafka import OutgoingRecord
from kallback.kafka.confluent import groups, producer, topics
from kallback.kafka.confluent.producer import ConfluentProducer
from kallback.protocol.errors import AccessDeniedError, KafkaUnavailableError
from kallback.settings import KafkaSecurity, KafkaSettings

REFUSED = KafkaError(KafkaError._AUTHENTICATION, "SASL authentication error: invalid_token")

told_of_a_refused_login = pytest.mark.parametrize(
    ("security", "told"), [(TOKENS, KafkaUnavailableError), (PASSWORD, AccessDeniedError)]
)


class Refused:
    """A librdkafka client whose broker refuses the log-in while calls are under way."""

    def __init__(self) -> None:
        self._waiting: list[Callable[[KafkaError | None, object], None]] = []

    def produce(self, *_: object, on_delivery: Callable[[KafkaError | None, object], None], **_options: object) -> None:
        """Take a record."""
        self._waiting.append(on_delivery)

    def poll(self, timeout: float) -> None:
        """Fail what is under way."""
        time.sleep(min(timeout, 0.01))
        while self._waiting:
            self._waiting.pop()(REFUSED, None)

    flush = poll

    def purge(self) -> None:
        """Drop nothing."""

    def __len__(self) -> int:
        return len(self._waiting)

    def list_topics(self, *_: object, **_options: object) -> NoReturn:
        """Fail."""
        raise KafkaException(REFUSED)

    list_consumer_groups = list_topics


@told_of_a_refused_login
async def test_a_record_on_its_way_at_the_end_of_a_token_is_to_be_sent_again(
    monkeypatch: pytest.MonkeyPatch, security: KafkaSecurity, told: type[Exception]
) -> None:
    """Who is told that it may not write stops: a bridge ended because a dead letter was on its way just then."""
    monkeypatch.setattr(producer, "build", lambda *_: Refused())
    sender = ConfluentProducer(KafkaSettings("127.0.0.1:1"))
    sender._current()._settings = KafkaSettings("127.0.0.1:1", security)
    try:
        with pytest.raises(told, match="invalid_token"):
            await sender.send(OutgoingRecord("topic", b"value"))
    finally:
        await sender.stop()


async def list_groups(settings: KafkaSettings) -> object:
    """The groups that read a topic."""
    return await asyncio.to_thread(groups._groups, settings, ["orders"], {})


@told_of_a_refused_login
@pytest.mark.parametrize("ask", [topics.list_topics, list_groups])
async def test_a_question_at_the_end_of_a_token_is_to_be_asked_again(
    monkeypatch: pytest.MonkeyPatch, ask: Callable[[KafkaSettings], Any], security: KafkaSecurity, told: type[Exception]
) -> None:
    """The next one logs in with the next token."""

    @contextmanager
    def connected(*_: object, **_options: object) -> Generator[Refused]:
        yield Refused()

    monkeypatch.setattr(topics, "connected", connected)
    monkeypatch.setattr(groups, "connected", connected)
    with pytest.raises(told, match="invalid_token"):
        await ask(KafkaSettings("127.0.0.1:1", security))
