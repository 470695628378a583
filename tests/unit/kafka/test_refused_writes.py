"""Topics that refuse writes: who tries when, and what is said."""

from __future__ import annotations

import asyncio

import pytest

from kallback.kafka import MemoryBroker, MemoryProducer, OutgoingRecord, Position, RefusalTracker, RefusedWrites
from kallback.kafka.refused_writes import PAUSE
from kallback.lifecycle import Backoff
from kallback.protocol import AccessDeniedError, MissingTopicError, RecordTooLargeError
from kallback.settings import named_log
from kallback.testing.log_capture import capture_logs
from kallback.testing.polling import eventually

SOON = Backoff(first=0.001, longest=0.002)


class CountingProducer(MemoryProducer):
    """Counts what is tried."""

    tries = 0
    at_once = 0
    most_at_once = 0

    async def send(self, record: OutgoingRecord) -> Position:
        """Count, then send, not at once: tries can overlap."""
        self.tries += 1
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            await asyncio.sleep(0)
            return await super().send(record)
        finally:
            self.at_once -= 1


@pytest.fixture
def broker() -> MemoryBroker:
    """With two topics, one of which takes nothing."""
    broker = MemoryBroker()
    broker.create_topic("letters")
    broker.create_topic("outcomes")
    broker.denied = {"letters"}
    return broker


def tracked(
    broker: MemoryBroker, pause: Backoff = SOON, topics: tuple[str, ...] = ("letters", "outcomes")
) -> tuple[CountingProducer, RefusedWrites, RefusalTracker]:
    """A producer whose refusals are noted."""
    producer, refused = CountingProducer(broker), RefusedWrites(topics, named_log("kallback.kafka"), pause)
    return producer, refused, RefusalTracker(producer, refused)


async def until_sent(tracker: RefusalTracker, topic: str = "letters") -> None:
    """Send again and again, as the callers of a tracker do."""
    while True:
        try:
            await tracker.send(OutgoingRecord(topic, b"1"))
        except AccessDeniedError:
            continue
        return


async def test_a_refused_topic_is_named_with_the_permission_and_the_command(broker: MemoryBroker) -> None:
    """Those who read it can act on it at once."""
    _, refused, tracker = tracked(broker)
    with pytest.raises(AccessDeniedError):
        await tracker.send(OutgoingRecord("letters", b"1"))
    sentence = refused["letters"] or ""
    assert "'letters'" in sentence
    assert "WRITE" in sentence
    assert "kafka-acls.sh --add --allow-principal User:NAME --operation WRITE --topic letters" in sentence
    assert refused["outcomes"] is None


async def test_a_missing_topic_is_named_with_the_command(broker: MemoryBroker) -> None:
    """A topic that was deleted is an operator's to make."""
    _, refused, tracker = tracked(broker, topics=("gone",))
    with pytest.raises(MissingTopicError):
        await tracker.send(OutgoingRecord("gone", b"1"))
    assert "kallback topics create gone" in (refused["gone"] or "")


async def test_one_record_at_a_time_tries_a_topic_that_refuses(broker: MemoryBroker) -> None:
    """The broker logs each refusal; all go on when one is accepted."""
    producer, refused, tracker = tracked(broker)
    with pytest.raises(AccessDeniedError):
        await tracker.send(OutgoingRecord("letters", b"1"))
    producer.most_at_once = 0
    async with asyncio.TaskGroup() as group:
        for _ in range(20):
            group.create_task(until_sent(tracker))
        await eventually("tries", lambda: producer.tries >= 10)
        assert producer.most_at_once == 1
        broker.denied.clear()
    assert (len(broker.records("letters")), refused["letters"]) == (20, None)


async def test_other_topics_go_on_while_one_refuses(broker: MemoryBroker) -> None:
    """Outcome records of good results do not wait for dead letters."""
    _, _, tracker = tracked(broker, Backoff(3600.0, 3600.0))
    with pytest.raises(AccessDeniedError):
        await tracker.send(OutgoingRecord("letters", b"1"))
    waiting = asyncio.create_task(tracker.send(OutgoingRecord("letters", b"1")))
    await asyncio.sleep(0)
    await tracker.send(OutgoingRecord("outcomes", b"1"))
    assert not waiting.done()
    waiting.cancel()
    await asyncio.wait({waiting})


async def test_a_cancelled_try_leaves_its_turn_to_the_next(broker: MemoryBroker) -> None:
    """Heartbeats end with their attempts, also while they wait."""
    _, _, tracker = tracked(broker, Backoff(0.01, 0.01))
    with pytest.raises(AccessDeniedError):
        await tracker.send(OutgoingRecord("letters", b"1"))
    first, second = (asyncio.create_task(until_sent(tracker)) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    broker.denied.clear()
    await second
    assert len(broker.records("letters")) == 1


async def test_a_refusal_that_nothing_meets_any_more_is_forgotten(broker: MemoryBroker) -> None:
    """The heartbeats of tasks that have ended try no more: whether the topic still refuses shows the next one."""
    now = 0.0
    refused = RefusedWrites(("letters",), named_log("kallback.kafka"), Backoff(3600.0, 3600.0), lambda: now)
    tracker = RefusalTracker(MemoryProducer(broker), refused)
    with pytest.raises(AccessDeniedError):
        await tracker.send(OutgoingRecord("letters", b"1"))
    now = 59.0
    assert refused.get("letters") is not None
    now = 60.0
    assert refused.get("letters") is None
    broker.denied.clear()
    await tracker.send(OutgoingRecord("letters", b"1"))


async def test_the_log_has_one_line_for_many_refusals(broker: MemoryBroker) -> None:
    """And one more when the topic takes records again."""
    _, _, tracker = tracked(broker)
    with capture_logs("kallback.kafka") as lines:
        for _ in range(50):
            with pytest.raises(AccessDeniedError):
                await tracker.send(OutgoingRecord("letters", b"1"))
        broker.denied.clear()
        await tracker.send(OutgoingRecord("letters", b"1"))
    assert [line["event"].split(":")[0] for line in lines] == [
        "Kafka refuses records of a topic",
        "Kafka accepts records of a topic again",
    ]


@pytest.mark.parametrize("size", [100, 5000])
async def test_a_topic_that_takes_not_even_small_records_is_named(broker: MemoryBroker, size: int) -> None:
    """A large record is its sender's trouble: the topic takes others."""
    broker.create_topic("tiny", largest=50)
    _, refused, tracker = tracked(broker, topics=("tiny",))
    with pytest.raises(RecordTooLargeError):
        await tracker.send(OutgoingRecord("tiny", b"1" * size))
    assert ("--entity-name tiny --delete-config max.message.bytes" in (refused["tiny"] or "")) == (size == 100)


async def test_a_permission_that_comes_and_goes_is_two_log_lines_a_minute(broker: MemoryBroker) -> None:
    """Those who may change permissions must not fill the log."""
    _, _, tracker = tracked(broker)
    with capture_logs("kallback.kafka") as lines:
        for _ in range(20):
            broker.denied = {"letters"}
            with pytest.raises(AccessDeniedError):
                await tracker.send(OutgoingRecord("letters", b"1"))
            broker.denied = set()
            await tracker.send(OutgoingRecord("letters", b"1"))
    assert len(lines) == 2


async def test_refusals_of_other_topics_are_the_trouble_of_one_record(broker: MemoryBroker) -> None:
    """A task may name any topic for its answer: nothing waits for that one."""
    _, refused, tracker = tracked(broker, Backoff(3600.0, 3600.0), topics=("outcomes",))
    for _ in range(3):
        with pytest.raises(AccessDeniedError):
            await tracker.send(OutgoingRecord("letters", b"1"))
    assert dict(refused) == {"outcomes": None}


def test_the_pause_grows_to_ten_seconds() -> None:
    """An operator who has given back the permission need not restart anything."""
    assert (PAUSE.delay(1, 1.0), PAUSE.delay(10, 1.0)) == (0.5, 10.0)
