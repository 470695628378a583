"""The reading of a whole topic, partition by partition, with batches that cannot be decompressed among them."""

from __future__ import annotations

import contextlib
from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException
from tests.unit.kafka.confluent.logins import PASSWORD, TOKENS
from tests.unit.kafka.confluent.messages import Message

from kallback.kafka.confluent import scan as scan_module
from kallback.kafka.confluent.scan import TopicScan
from kallback.protocol.errors import AccessDeniedError
from kallback.settings import KafkaSecurity, KafkaSettings


class Client:
    """A consumer that has read these messages."""

    def __init__(self, messages: list[Message]) -> None:
        self._messages = messages
        self._next = 0
        self.sought: list[tuple[int, int]] = []
        self.waits: list[float] = []

    def poll(self, timeout: float) -> Message:
        """The next one."""
        self.waits.append(timeout)
        return self.consume(1, 0)[0]

    def append(self, message: Message) -> None:
        """Have one more to read."""
        self._messages.append(message)

    def consume(self, limit: int, _timeout: float) -> list[Message]:
        """The next ones."""
        messages = self._messages[self._next : self._next + limit]
        self._next += len(messages)
        return messages

    def seek(self, to: Any) -> None:
        """Go on there."""
        self.sought.append((to.partition, to.offset))


def test_stepping_over_a_batch_drops_nothing_of_other_partitions(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was read behind the batch comes again after the seek; records of other partitions would not."""
    bad: int = KafkaError._BAD_COMPRESSION
    client = Client(
        [
            Message(0, partition=3),
            Message(2, code=bad),
            Message(3),
            Message(0, partition=1),
            Message(0, partition=2, code=bad),
            Message(1, partition=1),
        ]
    )
    monkeypatch.setattr(scan_module, "build", lambda *_: client)
    monkeypatch.setattr(scan_module, "end_of_batch", lambda *_: 5)
    scan = TopicScan(KafkaSettings(), "letters")
    scan.end_offsets = {0: 9, 1: 2, 2: 5}

    records = scan.poll()
    assert [(each.partition, each.offset, each.unreadable is None) for each in records] == [
        (3, 0, True),
        (0, 2, False),
        (1, 0, True),
        (2, 0, False),
        (1, 1, True),
    ]
    assert (client.sought, scan.end_offsets) == ([(0, 5), (2, 5)], {0: 9})


def test_what_is_read_after_the_seek_is_not_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a busy machine the record behind the batch is there before the poll ends: it was lost, a cancel with it."""
    client = Client([Message(2, code=KafkaError._BAD_COMPRESSION), Message(5)])
    monkeypatch.setattr(scan_module, "build", lambda *_: client)
    monkeypatch.setattr(scan_module, "end_of_batch", lambda *_: 5)
    scan = TopicScan(KafkaSettings(), "letters")
    scan.end_offsets = {0: 6}
    assert [each.offset for each in [*scan.poll(), *scan.poll()]] == [2, 5]


@pytest.mark.parametrize(("size", "read"), [(1, 500), (300_000, 2), (2_000_000, 1)])
def test_one_poll_takes_many_small_records_or_few_large_ones(
    monkeypatch: pytest.MonkeyPatch, size: int, read: int
) -> None:
    """Each becomes a record with objects of its own, and all of one poll are in memory together."""
    client = Client([Message(offset, bytes(size)) for offset in range(600)])
    monkeypatch.setattr(scan_module, "build", lambda *_: client)
    scan = TopicScan(KafkaSettings(), "letters")
    assert len(scan.poll()) == read


def test_behind_the_end_it_wakes_up_less_often(monkeypatch: pytest.MonkeyPatch) -> None:
    """An idle worker follows the control topic for as long as it lives."""
    client = Client([Message(0), Message(1)])
    monkeypatch.setattr(scan_module, "build", lambda *_: client)
    scan = TopicScan(KafkaSettings(), "cancels")
    scan.end_offsets = {0: 2}
    scan.poll()
    client.append(Message(2))
    scan.poll()
    assert (scan.end_offsets, client.waits[0] < client.waits[1]) == ({}, True)


@pytest.mark.parametrize(("security", "ends"), [(TOKENS, False), (PASSWORD, True)])
def test_the_end_of_an_access_token_ends_no_reading(
    monkeypatch: pytest.MonkeyPatch,
    security: KafkaSecurity,
    ends: bool,  # noqa: FBT001 - a parameter
) -> None:
    """A new token is asked for already; a password that is refused is refused again."""
    client = Client([Message(0, code=KafkaError._AUTHENTICATION), Message(1)])
    monkeypatch.setattr(scan_module, "build", lambda *_: client)
    scan = TopicScan(KafkaSettings(), "cancels")
    scan._settings = KafkaSettings("127.0.0.1:1", security)
    with pytest.raises(AccessDeniedError) if ends else contextlib.nullcontext():
        assert [record.offset for record in scan.poll()] == [1]


class NewTopic(Client):
    """A consumer of a topic whose broker leads its partition only after the first question."""

    def __init__(self, refusal: int) -> None:
        super().__init__([])
        self.refusals = [refusal]
        self.assigned: list[tuple[int, int]] = []

    def list_topics(self, _topic: str, _timeout: float) -> Any:
        """Metadata names the leader already."""
        return SimpleNamespace(topics={"letters": SimpleNamespace(partitions=[0])})

    def get_watermark_offsets(self, _at: Any, _timeout: float) -> tuple[int, int]:
        """Where it begins and ends."""
        if self.refusals:
            raise KafkaException(KafkaError(self.refusals.pop()))
        return 0, 4

    def assign(self, partitions: list[Any]) -> None:
        """Begin there."""
        self.assigned = [(each.partition, each.offset) for each in partitions]


@pytest.mark.parametrize("refusal", [KafkaError.NOT_LEADER_FOR_PARTITION, KafkaError.LEADER_NOT_AVAILABLE])
def test_a_new_topic_is_waited_for(monkeypatch: pytest.MonkeyPatch, refusal: int) -> None:
    """Kafka acknowledges a topic, and names the leaders of its partitions, before these brokers know it."""
    client = NewTopic(refusal)
    monkeypatch.setattr(scan_module, "build", lambda *_: client)
    monkeypatch.setattr(scan_module, "first_contact", lambda *_, **__: None)
    monkeypatch.setattr(scan_module, "_LEADER_LOOK_S", 0)
    scan = TopicScan(KafkaSettings(), "letters")
    scan.assign_all(None)
    assert (client.assigned, scan.end_offsets) == ([(0, 0)], {0: 4})
