"""Which records are refused as they are read, and for how long."""

from __future__ import annotations

import pytest
from tests.unit.bridge.factories import AUDIENCE, KEYRING, RecordFactory

from kallback.bridge import Trust
from kallback.bridge.pipeline.flood_screen import FloodScreen
from kallback.kafka import OutgoingRecord, Record, Refusal, TopicPartition, Unreadable
from kallback.kafka.records import unreadable_record
from kallback.protocol import Keyring
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
def screen(clock: Clock) -> FloodScreen:
    """A screen in a flood of tokens with a wrong tag."""
    screen = FloodScreen(Trust(KEYRING, AUDIENCE), clock)
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
    assert FloodScreen(Trust(KEYRING, AUDIENCE), Clock())([forged]) is None


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
