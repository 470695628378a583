"""The dead-letter topic as it is read back."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kallback.kafka import (
    DeadLetter,
    DeadLetterId,
    DeadLetters,
    MemoryBroker,
    MemoryProducer,
    MemoryReader,
    OutgoingRecord,
    Position,
    Record,
    ReplayMarker,
    UnknownEntry,
    read_entries,
    read_entry,
)
from kallback.kafka.dead_letters.reader import REPLAYED, replay_marker
from kallback.kafka.dead_letters.writer import original_headers
from kallback.protocol import KafkaUnavailableError
from kallback.protocol.by_hand import Operator

TOPIC = "dead"
HEADERS = (("a", None), ("a", b"\x00"), ("kallback-token", b"t"))


@pytest.fixture
def broker() -> MemoryBroker:
    """A dead-letter topic of two partitions."""
    made = MemoryBroker(clock=lambda: 20.0)
    made.create_topic(TOPIC, partitions=2)
    return made


async def bury(broker: MemoryBroker, value: bytes | None = b"v") -> Position:
    """Let a record die as the bridge does."""
    letters = DeadLetters(MemoryProducer(broker), TOPIC, group="bridge", clock=lambda: 12.5)
    return await letters.publish(Record("results", 3, 42, 1700, b"\xff", value, HEADERS), "late", "too late")


async def entries(broker: MemoryBroker) -> list[object]:
    """Everything that is there."""
    return [entry async for entry in read_entries(MemoryReader(broker, TOPIC))]


async def test_tools_find_the_names_that_spring_uses(broker: MemoryBroker) -> None:
    """Numbers are big-endian, as `DeadLetterPublishingRecoverer` writes them."""
    await bury(broker)
    async with MemoryReader(broker, TOPIC) as reader:
        (record,) = await reader.fetch(1)
    found = {name: value for name, value in record.headers if name.startswith("kafka_dlt-")}
    assert found == {
        "kafka_dlt-original-topic": b"results",
        "kafka_dlt-original-partition": b"\0\0\0\x03",
        "kafka_dlt-original-offset": b"\0\0\0\0\0\0\0\x2a",
        "kafka_dlt-original-timestamp": b"\0\0\0\0\0\0\x06\xa4",
        "kafka_dlt-original-consumer-group": b"bridge",
        "kafka_dlt-exception-fqcn": b"late",
        "kafka_dlt-exception-message": b"too late",
    }


def test_the_headers_of_a_dead_letter_of_spring_are_kept() -> None:
    """They stand before those that kallback added: they are the record's own."""
    own = (("kafka_dlt-original-topic", b"orders"), ("a", None))
    added = (("kallback-dead-reason", b"late"), ("kafka_dlt-original-topic", b"results"))
    assert original_headers((*own, *added, ("later", b"1"))) == (*own, ("later", b"1"))
    assert original_headers(own) == own


async def test_a_letter_is_read_back_as_it_was(broker: MemoryBroker) -> None:
    """Key, value and headers byte for byte, and the facts of its death."""
    at = await bury(broker)
    (letter,) = await entries(broker)
    assert letter == DeadLetter(
        DeadLetterId(at.partition, 0), "late", "too late", 12_500, 20_000, Position("results", 3, 42), 1700, "bridge",
        b"\xff", b"v", HEADERS,
    )  # fmt: skip


async def test_a_letter_hides_what_it_carries(broker: MemoryBroker) -> None:
    """Headers hold tokens, values are private: neither is in the repr."""
    await bury(broker, b"secret")
    (letter,) = await entries(broker)
    assert "secret" not in repr(letter)
    assert "kallback-token" not in repr(letter)


async def test_a_replay_note_names_letters(broker: MemoryBroker) -> None:
    """What was replayed can be read back from the same topic."""
    broker.append(replay_marker(TOPIC, [DeadLetterId(0, 1), DeadLetterId(1, 7)], 99))
    assert await entries(broker) == [ReplayMarker(frozenset({DeadLetterId(0, 1), DeadLetterId(1, 7)}), 99)]


async def test_a_replay_note_says_who_and_why(broker: MemoryBroker) -> None:
    """If they said so."""
    operator = Operator("ann", "the key is back")
    broker.append(replay_marker(TOPIC, [DeadLetterId(0, 1)], 99, operator))
    assert await entries(broker) == [ReplayMarker(frozenset({DeadLetterId(0, 1)}), 99, operator)]


@pytest.mark.parametrize("more", ['"by":7', '"by":"\\u001b"', '"by":""', '"by":["a"]', f'"by":"{"x" * 300}"'])
async def test_a_name_that_cannot_be_shown_counts_as_absent(broker: MemoryBroker, more: str) -> None:
    """The dead letters are replayed nevertheless."""
    value = f'{{"kallback":1,"replayed":["0:1"],"at":99,{more}}}'.encode()
    broker.append(OutgoingRecord(TOPIC, value, None, ((REPLAYED, b"1"),)))
    assert await entries(broker) == [ReplayMarker(frozenset({DeadLetterId(0, 1)}), 99)]


async def test_an_empty_topic_has_no_entries(broker: MemoryBroker) -> None:
    """Reading ends, although nothing comes."""
    assert await entries(broker) == []


async def test_a_kafka_that_falls_silent_ends_the_reading(broker: MemoryBroker) -> None:
    """Nobody waits for ever for records that were there and do not come."""

    class Silent(MemoryReader):
        async def fetch(self, timeout: float) -> list[Record]:  # noqa: ARG002, ASYNC109 - the seam's
            await asyncio.sleep(0)
            return []

    await bury(broker)
    times = iter(range(0, 1000, 20))
    with pytest.raises(KafkaUnavailableError, match="no record arrived for 30 s"):
        async for _ in read_entries(Silent(broker, TOPIC), monotonic=lambda: next(times)):
            pass


async def test_a_slow_caller_is_no_silence_of_kafka(broker: MemoryBroker) -> None:
    """A replay at a record a second ended after a batch, if the next look at Kafka found nothing at once."""
    now, left = [0.0], list[Record]()

    class Hesitant(MemoryReader):
        async def fetch(self, timeout: float) -> list[Record]:  # noqa: ASYNC109 - the seam's
            now[0] += 1
            left.extend(await super().fetch(timeout))
            found = [left.pop()] if left and now[0] % 2 else []
            (self.caught_up.clear if left else self.caught_up.set)()
            return found

    for _ in range(3):
        await bury(broker)
    found = 0
    async for _ in read_entries(Hesitant(broker, TOPIC), monotonic=lambda: now[0]):
        found += 1
        now[0] += 100
    assert found == 3


@pytest.mark.parametrize("body", [b"", b"[]", b'{"replayed": 1, "at": 2}', b"\xff", b"[" * 5000])
def test_a_garbled_note_is_foreign(body: bytes) -> None:
    """Anybody may write to a topic."""
    record = Record(TOPIC, 0, 5, 1, None, body, ((REPLAYED, b"1"),))
    assert read_entry(record) == UnknownEntry(DeadLetterId(0, 5))


@given(
    st.lists(
        st.tuples(
            st.sampled_from(
                ["reason", "detail", "topic", "partition", "offset", "timestamp", "at", "stub", "replayed"]
            ),
            st.none() | st.binary(max_size=30) | st.integers().map(lambda number: str(number).encode()),
        )
    ),
    st.none() | st.binary(),
)
def test_no_record_makes_reading_raise(facts: list[tuple[str, bytes | None]], value: bytes | None) -> None:
    """Whatever the headers say, it is a letter, a note or foreign; numbers fit what Kafka's clients take."""
    headers = tuple((f"kallback-dead-{name}", text) for name, text in facts)
    entry = read_entry(Record(TOPIC, 0, 5, 1, None, value, headers))
    assert isinstance(entry, DeadLetter | ReplayMarker | UnknownEntry)
    assert not isinstance(entry, DeadLetter) or entry.source.offset < 2**63


def test_a_record_without_reason_is_foreign() -> None:
    """What kallback did not bury is not replayed."""
    assert read_entry(Record(TOPIC, 0, 5, 1, None, b"v", ())) == UnknownEntry(DeadLetterId(0, 5))


@pytest.mark.parametrize("text", ["0:57", "12:0"])
def test_an_id_is_read_as_it_is_shown(text: str) -> None:
    """What list shows, show and replay take."""
    assert str(DeadLetterId.parse(text)) == text


@pytest.mark.parametrize("text", ["", "57", "0:", ":1", "0:-1", "0:1 ", "a:b", "٣:1", "0:" + "9" * 19])
def test_another_text_is_no_id(text: str) -> None:
    """Partition, colon, offset; nothing around them."""
    assert DeadLetterId.parse(text) is None


async def test_a_record_that_dies_again_does_not_grow(broker: MemoryBroker) -> None:
    """Death, replay, death: the letter has the same headers each time."""
    for _ in range(3):
        await bury(broker)
        letter = (await entries(broker))[0]
        assert isinstance(letter, DeadLetter)
        assert letter.headers == HEADERS
        broker.append(OutgoingRecord(TOPIC, letter.value, letter.key, letter.headers))
    sizes = {len(record.headers) for record in broker.records(TOPIC)}
    assert sizes == {len(HEADERS), len(HEADERS) + 15}
