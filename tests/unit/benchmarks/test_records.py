"""What a run writes into its topics."""

from __future__ import annotations

from benchmarks.records import edges, every, record_positions, token_for, unknown_awakeable

from kallback.protocol import Keyring, parse_awakeable_id


def test_partitions_take_turns() -> None:
    """So that all of them are drained at the same time."""
    assert list(record_positions(5, 2)) == [(0, 0), (1, 0), (0, 1), (1, 1), (0, 2)]


def test_edges_are_the_first_and_last_of_each_partition() -> None:
    """Whichever is completed first or last, it is marked."""
    assert set(edges(7, 2)) == {(0, 0), (1, 0), (0, 3), (1, 2)}


def test_every_begins_with_the_first() -> None:
    """One in so many, in each partition."""
    assert every(2, 6, 2) == [(0, 0), (1, 0), (0, 2), (1, 2)]


def test_unknown_awakeables_are_well_formed() -> None:
    """A malformed one would be a dead letter, not a completion."""
    unknown = unknown_awakeable()
    assert parse_awakeable_id(unknown) == unknown


def test_tokens_are_good() -> None:
    """The bridge under measurement verifies them."""
    token = token_for(unknown_awakeable())
    keyring = Keyring.insecure()
    assert keyring.verify(keyring.sign(token, "bench"), "bench") == token
