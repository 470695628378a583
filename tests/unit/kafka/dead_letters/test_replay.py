"""Dead letters are sent again byte for byte, and the topic knows which."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any, TypeVar

import pytest

from kallback.kafka import (
    DeadLetter,
    DeadLetterId,
    LetterSummary,
    MemoryBroker,
    MemoryProducer,
    MissingValue,
    OffsetRange,
    OutgoingRecord,
    Position,
    Record,
    Replayer,
    ReplayMarker,
    ReplayOptions,
    read_entry,
    recover,
)
from kallback.kafka.dead_letters.replay import ReplayFailure
from kallback.kafka.dead_letters.stubs import recover_all
from kallback.kafka.dead_letters.summaries import LastRecord
from kallback.kafka.errors import error_for
from kallback.protocol import AccessDeniedError, KafkaUnavailableError

T = TypeVar("T")

HEADERS = (("a", None), ("a", b"\x00"))


def letter(offset: int = 0, *, topic: str = "results", value: bytes | None = b"v") -> DeadLetter:
    """A dead letter of the topic `dead`."""
    return DeadLetter(
        DeadLetterId(0, offset), "late", "", 1, 2, Position(topic, 0, offset), 3, "bridge", b"\xff", value, HEADERS
    )


async def these(*letters: DeadLetter) -> AsyncIterator[DeadLetter]:
    """As they are read from Kafka."""
    for each in letters:
        yield each


class Lookup:
    """Has some records, and remembers what it was asked."""

    def __init__(self, *records: Record, fails: str | None = None) -> None:
        self.records = {Position(each.topic, each.partition, each.offset): each for each in records}
        self.fails = fails
        self.asked = list[list[Position]]()

    async def __call__(self, positions: Iterable[Position], keep: Callable[[Record], T], /) -> Mapping[Position, T]:
        """What is kept of those that are there; one topic cannot be read."""
        wanted = list(positions)
        self.asked.append(wanted)
        if any(at.topic == self.fails for at in wanted):
            raise KafkaUnavailableError("away")
        return {at: keep(self.records[at]) for at in wanted if at in self.records}


class Failing(MemoryProducer):
    """Fails at the n-th send."""

    def __init__(self, broker: MemoryBroker, at: int) -> None:
        super().__init__(broker)
        self.left = at

    async def send(self, record: OutgoingRecord) -> Position:
        """Count down, then Kafka is away for one record."""
        self.left -= 1
        if self.left == 0:
            raise KafkaUnavailableError("away")
        return await super().send(record)


@pytest.fixture
def broker() -> MemoryBroker:
    """Two topics that letters came from, and theirs."""
    made = MemoryBroker()
    made.create_topic("results")
    made.create_topic("dead")
    return made


def replayer(broker: MemoryBroker, **changes: Any) -> Replayer:
    """A replayer of the topic `dead`."""
    producer = changes.pop("producer", None) or MemoryProducer(broker)
    return Replayer(producer, "dead", find=changes.pop("find", Lookup()), **changes)


def noted(broker: MemoryBroker) -> set[int]:
    """Offsets of the letters that the topic says were replayed."""
    notes = [entry for entry in map(read_entry, broker.records("dead")) if isinstance(entry, ReplayMarker)]
    return {each.offset for note in notes for each in note.letters}


async def test_a_letter_goes_byte_for_byte_to_where_it_came_from(broker: MemoryBroker) -> None:
    """Key, value and headers as they were: nulls, doubles and all."""
    await replayer(broker).replay(these(letter()))
    (record,) = broker.records("results")
    assert (record.key, record.value, record.headers) == (b"\xff", b"v", HEADERS)


async def test_a_tombstone_stays_one(broker: MemoryBroker) -> None:
    """No value is not an empty value."""
    await replayer(broker).replay(these(letter(value=None)))
    assert broker.records("results")[0].value is None


async def test_what_was_sent_is_noted(broker: MemoryBroker) -> None:
    """So that a further run knows."""
    report = await replayer(broker).replay(these(*(letter(n) for n in range(250))))
    assert (report.sent, report.unmarked, noted(broker)) == (250, 0, set(range(250)))


async def test_another_topic_can_be_named(broker: MemoryBroker) -> None:
    """Whatever topic they came from."""
    await replayer(broker, options=ReplayOptions(to="results")).replay(these(letter(topic="gone")))
    assert len(broker.records("results")) == 1


async def test_a_letter_that_no_topic_takes_does_not_stop_the_others(broker: MemoryBroker) -> None:
    """It is named with the reason."""
    broker.create_topic("small", largest=10)
    big = letter(1, topic="small", value=b"x" * 100)
    report = await replayer(broker).replay(these(letter(0), big, letter(2)))
    ((cause, failure),) = report.failed.items()
    assert ("larger" in cause, failure) == (True, ReplayFailure(DeadLetterId(0, 1), 1))
    assert (report.sent, noted(broker)) == (2, {0, 2})


async def test_a_letter_that_fails_the_check_is_not_sent(broker: MemoryBroker) -> None:
    """The check decides for each letter; the others are sent."""
    work = replayer(broker, check=lambda each: "forged" if each.id.offset == 1 else None)
    report = await work.replay(these(letter(0), letter(1)))
    assert (report.sent, report.failed) == (1, {"forged": ReplayFailure(DeadLetterId(0, 1), 1)})


async def test_the_causes_of_a_report_have_a_bound(broker: MemoryBroker) -> None:
    """Hostile letters choose what the sentence about them says."""
    report = await replayer(broker, check=lambda each: f"cause {each.id}").replay(these(*map(letter, range(150))))
    assert (len(report.failed), report.failed["other causes"].count) == (101, 50)


async def test_a_failure_in_the_middle_says_what_was_sent(broker: MemoryBroker) -> None:
    """What was acknowledged is noted, so that the next run goes on from there."""
    work = replayer(broker, producer=Failing(broker, at=3))
    with pytest.raises(KafkaUnavailableError):
        await work.replay(these(*(letter(n) for n in range(5))))
    assert (work.report.sent, noted(broker)) == (4, {0, 1, 3, 4})


async def test_what_could_not_be_noted_is_counted(broker: MemoryBroker) -> None:
    """The next run will send it again, and people should know."""
    work = replayer(broker, producer=Failing(broker, at=3))
    with pytest.raises(KafkaUnavailableError):
        await work.replay(these(letter(0), letter(1)))
    assert (work.report.sent, work.report.unmarked) == (2, 2)


async def test_a_missing_topic_does_not_stop_the_others(broker: MemoryBroker) -> None:
    """Who writes dead letters names the topic; the report says which ones an operator has to make first."""
    report = await replayer(broker).replay(these(letter(0), letter(1, topic="gone"), letter(2)))
    assert (report.sent, noted(broker)) == (2, {0, 2})
    [(cause, failure)] = report.failed.items()
    assert (failure.count, "gone" in cause) == (1, True)


class Denied(MemoryProducer):
    """May write neither to `closed` nor to `closed-too`."""

    async def send(self, record: OutgoingRecord) -> Position:
        """As a broker with permissions answers."""
        if record.topic.startswith("closed"):
            raise error_for(29, "not authorized", what=f"sending to {record.topic!r}", topic=record.topic)
        return await super().send(record)


async def test_a_topic_that_may_not_be_written_does_not_stop_the_others(broker: MemoryBroker) -> None:
    """Nor do several: a forger names whichever topics there are."""
    letters = these(letter(0), letter(1, topic="closed"), letter(2), letter(3, topic="closed-too"))
    report = await replayer(broker, producer=Denied(broker)).replay(letters)
    assert (report.sent, noted(broker)) == (2, {0, 2})
    assert [("missing ACL" in cause, failure.count) for cause, failure in report.failed.items()] == [(True, 1)] * 2


async def test_a_topic_to_send_to_that_may_not_be_written_ends_a_replay(broker: MemoryBroker) -> None:
    """The next letter would be refused as well."""
    work = replayer(broker, producer=Denied(broker), options=ReplayOptions(to="closed"))
    with pytest.raises(AccessDeniedError, match="'closed'"):
        await work.replay(these(letter(0)))


async def test_a_rate_is_kept(broker: MemoryBroker) -> None:
    """Between batches it waits until the time is come: 10 a second for 5 letters are half a second."""
    now, slept = [100.0], list[float]()

    async def sleep(seconds: float) -> None:
        slept.append(seconds)
        now[0] += seconds

    options = ReplayOptions(per_second=10)
    work = replayer(broker, options=options, monotonic=lambda: now[0], sleep=sleep)
    await work.replay(these(*(letter(n) for n in range(5))))
    assert sum(slept) == pytest.approx(0.5)


STUB = replace(letter(value=None), stub_bytes=3)
ORIGINAL = Record("results", 0, 0, 3, b"k", b"xyz", HEADERS)


async def test_a_stub_is_replayed_from_where_it_came_from(broker: MemoryBroker) -> None:
    """The record still lies there, whole."""
    await replayer(broker, find=Lookup(ORIGINAL)).replay(these(STUB))
    (record,) = broker.records("results")
    assert (record.key, record.value, record.headers) == (b"k", b"xyz", HEADERS)


@pytest.mark.parametrize(
    ("found", "why"),
    [
        (None, "is gone"),
        (Record("results", 0, 0, 4, b"k", b"xyz", ()), "another record"),
        (Record("results", 0, 0, 3, b"k", b"longer", ()), "another record"),
        (KafkaUnavailableError("away"), "cannot be read: away"),
    ],
)
async def test_a_stub_whose_record_is_gone_is_lost(found: Record | Exception | None, why: str) -> None:
    """Also when a topic of the same name holds something else by now."""

    async def find(_: Position) -> Record | None:
        if isinstance(found, Exception):
            raise found
        return found

    lookup = Lookup(*([found] if isinstance(found, Record) else []), fails="results" if "away" in why else None)
    for lost in (await recover(STUB, find), *await recover_all([STUB], lookup)):
        assert isinstance(lost, MissingValue)
        assert why in lost.why


def stubs(count: int, size: int = 3, topic: str = "results") -> list[DeadLetter]:
    """Stubs of records that lie behind one another."""
    return [replace(letter(n, topic=topic, value=None), stub_bytes=size) for n in range(count)]


async def test_the_records_of_many_stubs_are_looked_up_together(broker: MemoryBroker) -> None:
    """Each had a consumer of its own: a thousand stubs were a thousand connections, one after the other."""
    find = Lookup(*(Record("results", 0, n, 3, b"k", b"xyz", HEADERS) for n in range(100)))
    report = await replayer(broker, find=find).replay(these(*stubs(100)))
    assert (report.sent, [len(asked) for asked in find.asked]) == (100, [100])


async def test_stubs_of_large_records_are_sent_some_at_a_time(broker: MemoryBroker) -> None:
    """A batch has the bound in bytes also where the values come later; a stub of any size comes to its turn."""
    find = Lookup()
    report = await replayer(broker, find=find).replay(these(*stubs(20, 1_000_000), *stubs(1, 1 << 60)))
    assert [len(asked) for asked in find.asked] == [9, 9, 3]
    assert sum(each.count for each in report.failed.values()) == 21


async def test_a_topic_that_cannot_be_read_fails_its_own_stubs_only(broker: MemoryBroker) -> None:
    """Those of the other topics, and what is no stub, are sent in their order."""
    find = Lookup(ORIGINAL, fails="gone")
    report = await replayer(broker, find=find).replay(these(STUB, *stubs(1, topic="gone"), letter(5)))
    assert (report.sent, [each.value for each in broker.records("results")]) == (2, [b"xyz", b"v"])
    assert [("away" in cause, failure.count) for cause, failure in report.failed.items()] == [(True, 1)]


def summary(*ranges: tuple[int, int, int]) -> DeadLetter:
    """A summary of records of the topic `results`."""
    counted = LetterSummary(
        sum(end - first for _, first, end in ranges), tuple(OffsetRange(*each) for each in ranges), LastRecord(0, 9, 3)
    )
    return replace(letter(7), summary=counted)


async def test_a_summary_is_replayed_record_by_record(broker: MemoryBroker) -> None:
    """What exists of its ranges is sent, what fails the check is counted; then one replay marker names it."""
    broker.create_topic("source")
    for number in range(6):
        broker.append(OutgoingRecord("source", b"%d" % number, b"k"))

    async def read_range(topic: str, offsets: OffsetRange) -> AsyncGenerator[list[Record]]:
        yield [each for each in broker.records(topic) if offsets.first <= each.offset < offsets.end]

    work = replayer(
        broker,
        read_range=read_range,
        check=lambda each: "forged" if each.value == b"2" else None,
        options=ReplayOptions(to="results"),
    )
    one = replace(summary((0, 1, 4), (0, 5, 9)), source=Position("source", 0, 1))
    report = await work.replay(these(letter(0), one))
    assert (report.sent, report.records, report.left_out, noted(broker)) == (2, 3, {"forged": 1}, {0, 7})


async def test_a_summary_whose_records_are_gone_is_told(broker: MemoryBroker) -> None:
    """No replay marker names it."""

    async def read_range(_: str, offsets: OffsetRange) -> AsyncGenerator[list[Record]]:  # noqa: ARG001 - the seam's
        for nothing in list[list[Record]]():
            yield nothing

    report = await replayer(broker, read_range=read_range).replay(these(summary((0, 1, 4))))
    assert ("gone" in next(iter(report.failed)), noted(broker)) == (True, set())
