"""Which records are refused as they are read, and for how long."""

from __future__ import annotations

import pytest
from tests.unit.bridge.factories import AUDIENCE, KEYRING, RecordFactory

from kallback.bridge import Trust
from kallback.bridge.pipeline.flood_screen import FloodScreen
from kallback.bridge.results.decide import KnownCopy
from kallback.bridge.results.known_copies import KNOWN_S, MOST_COPIED, KnownCopies, content_of
from kallback.kafka import OutgoingRecord, Record, Refusal, TopicPartition, Unreadable
from kallback.kafka.records import unreadable_record
from kallback.protocol import Keyring, Outcome
from kallback.protocol.verification import Verified

FORGER = Keyring({"k1": b"2" * 32})
MOMENT_S = 1.5


class Clock:
    """Seconds that a test sets."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        """Tell them."""
        return self.seconds


@pytest.fixture
def clock() -> Clock:
    """The clock of the screen."""
    return Clock()


@pytest.fixture
def known(clock: Clock) -> KnownCopies:
    """What is known of copies."""
    return KnownCopies(clock)


@pytest.fixture
def screen(clock: Clock, known: KnownCopies) -> FloodScreen:
    """A screen in a flood of tokens with a wrong tag."""
    screen = FloodScreen(Trust(KEYRING, AUDIENCE), known, clock)
    screen.add("wrong-tag")
    return screen


@pytest.fixture
def forged(make: RecordFactory) -> Record:
    """A record with a wrong tag."""
    return make.received(make.completed(make.sign(keyring=FORGER)))


def test_a_record_of_the_flood_is_refused(screen: FloodScreen, forged: Record) -> None:
    """Its reason is the one of which too many came."""
    found = screen([forged])
    assert found is not None
    assert isinstance(found[0], Refusal)
    assert found[0].reason == "wrong-tag"


def test_a_verified_record_is_let_through_as_verified(screen: FloodScreen, make: RecordFactory) -> None:
    """However many others are refused; it is not verified a second time."""
    found = screen([make.received(make.completed())])
    assert found is not None
    assert isinstance(found[0], Verified)


def test_an_unverified_record_of_another_reason_is_let_through(screen: FloodScreen) -> None:
    """It may be dead-lettered whole."""
    assert screen([Record(AUDIENCE, 0, 0, 0, None, b"no token", ())]) == [None]


def test_nothing_is_refused_without_a_flood(forged: Record) -> None:
    """The records are decided on one by one, on the event loop."""
    assert FloodScreen(Trust(KEYRING, AUDIENCE), KnownCopies(Clock()), Clock())([forged]) is None


def test_after_a_moment_records_are_let_through_again(screen: FloodScreen, forged: Record, clock: Clock) -> None:
    """So some of a long flood are dead-lettered whole, and what comes later is not part of it."""
    clock.seconds = MOMENT_S
    assert screen([forged]) is None
    screen.add("wrong-tag")
    assert screen([forged]) is not None


def test_a_large_value_is_let_through(screen: FloodScreen, make: RecordFactory) -> None:
    """To parse it takes long: that happens in a thread."""
    large = OutgoingRecord(AUDIENCE, b"x" * 200_000, None, make.completed(make.sign(keyring=FORGER)).headers)
    assert screen([make.received(large)]) == [None]


def test_what_could_not_be_read_is_let_through(screen: FloodScreen) -> None:
    """Each such record, or batch, has a stub of its own."""
    screen.add("no-token")
    assert screen([unreadable_record(TopicPartition(AUDIENCE, 0), 7, 1, Unreadable("damaged", 3))]) == [None]


def late_copy(known: KnownCopies, make: RecordFactory, record: Record) -> KnownCopy:
    """What is known of copies of a late result."""
    copy = KnownCopy(Outcome.LATE, make.token(), "late")
    known.add_content(content_of(record), copy)
    return copy


def refused_as(screen: FloodScreen, record: Record) -> object:
    """What a record is refused as; None if it is let through."""
    found = (screen([record]) or [None])[0]
    return found.about if isinstance(found, Refusal) else None


def test_a_copy_of_a_late_result_is_refused_while_copies_come(
    screen: FloodScreen, known: KnownCopies, make: RecordFactory, clock: Clock
) -> None:
    """Only one that has the same bytes; another value with the same token is let through."""
    token = make.sign()
    record, other = make.received(make.completed(token)), make.received(make.completed(token, b"2"))
    copy = late_copy(known, make, record)
    assert refused_as(screen, record) is None
    screen.expect_copies()
    assert (refused_as(screen, record), refused_as(screen, other)) == (copy, None)
    clock.seconds = MOMENT_S
    assert refused_as(screen, record) is None


def test_every_byte_of_a_record_counts() -> None:
    """What moves from key to value, or from one header to the next, makes another content."""
    records = [
        Record(AUDIENCE, 0, 0, 0, b"a", b"b", ()),
        Record(AUDIENCE, 0, 0, 0, b"ab", b"", ()),
        Record(AUDIENCE, 0, 0, 0, b"ab", None, ()),
        Record(AUDIENCE, 0, 0, 0, None, b"ab", ()),
        Record(AUDIENCE, 0, 0, 0, None, b"", (("ab", b""),)),
        Record(AUDIENCE, 0, 0, 0, None, b"", (("a", b"b"),)),
        Record(AUDIENCE, 0, 0, 0, None, b"", (("a", None), ("b", None))),
    ]
    assert len({content_of(record) for record in records}) == len(records)


def test_a_content_is_known_for_a_minute(
    screen: FloodScreen, known: KnownCopies, make: RecordFactory, clock: Clock
) -> None:
    """A late result that is replayed after it has a dead letter of its own again."""
    record = make.received(make.completed())
    late_copy(known, make, record)
    clock.seconds = KNOWN_S + 1
    screen.expect_copies()
    assert refused_as(screen, record) is None


def test_any_record_of_a_token_that_needs_nothing_more_is_refused_while_copies_come(
    screen: FloodScreen, known: KnownCopies, make: RecordFactory
) -> None:
    """Its value does not matter: the first result counts."""
    token = make.token()
    copy = KnownCopy(Outcome.DUPLICATE, token)
    known.add_target(copy)
    screen.expect_copies()
    assert refused_as(screen, make.received(make.completed(make.sign(token), b"7"))) == copy
    assert refused_as(screen, make.received(make.completed(make.sign(token, FORGER)))) is None


def test_the_memory_of_copies_is_bounded(known: KnownCopies, make: RecordFactory) -> None:
    """The oldest are forgotten; their copies are decided on as always."""
    tokens = [make.token() for _ in range(MOST_COPIED + 1)]
    for token in tokens:
        known.add_target(KnownCopy(Outcome.DUPLICATE, token))
    assert known.of_target(tokens[0]) is None
    assert known.of_target(tokens[1]) is not None
