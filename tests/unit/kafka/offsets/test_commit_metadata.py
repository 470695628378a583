"""The text beside a commit position: everything comes back, too much is cut cleanly, nonsense is nothing."""

from __future__ import annotations

import base64
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kallback.kafka.offsets.commit_metadata import MAX_TEXT, NO_METADATA, CommitMetadata, decode, encode, merged

POSITIONS = st.integers(0, 2**50)


@st.composite
def noted(draw: st.DrawFn, size: int = 60, step: int = 2**20) -> tuple[int, CommitMetadata]:
    """A position and notes of what lies above it."""
    position = draw(POSITIONS)
    at, done = position, []
    for first, length in draw(st.lists(st.tuples(st.integers(1, step), st.integers(1, step)), max_size=size)):
        done.append((at + first, at + first + length))
        at += first + length
    offsets = st.integers(position, position + step)
    deliveries = draw(st.dictionaries(offsets, st.integers(1, 50), max_size=size))
    return position, CommitMetadata(tuple(done), deliveries)


@given(noted())
def test_what_was_written_is_read(case: tuple[int, CommitMetadata]) -> None:
    """CommitMetadata of an ordinary size come back as they were."""
    position, notes = case
    assert decode(position, encode(position, notes)) == notes


@given(noted(size=2000, step=300))
def test_too_much_is_cut_cleanly(case: tuple[int, CommitMetadata]) -> None:
    """A text is never too long, and what it says is true: ranges from the lowest up, none in part."""
    position, notes = case
    text = encode(position, notes)
    read = decode(position, text)
    assert len(text) <= MAX_TEXT
    assert text.isascii()
    assert tuple(read.done) == tuple(notes.done)[: len(read.done)]
    assert read.deliveries.items() <= notes.deliveries.items()


def test_a_text_is_filled_before_anything_is_left_out() -> None:
    """Every second offset done: two bytes each, until it is full."""
    notes = CommitMetadata(tuple((at, at + 1) for at in range(1, 10_000, 2)))
    text = encode(0, notes)
    assert MAX_TEXT - 4 < len(text) <= MAX_TEXT
    assert len(decode(0, text).done) == 1150


def test_the_records_that_kill_most_often_are_kept() -> None:
    """Of more started records than fit, those with the most deliveries stay; so one is parked in the end."""
    deliveries = dict.fromkeys(range(3000), 1) | {2999: 4, 2500: 2}
    read = decode(0, encode(0, CommitMetadata((), deliveries)))
    assert (read.deliveries[2999], read.deliveries[2500], read.deliveries[0]) == (4, 2, 1)
    assert 1000 < len(read.deliveries) < 3000


@given(noted(), st.integers(0, 2**21))
def test_what_the_position_has_passed_is_left_out(case: tuple[int, CommitMetadata], ahead: int) -> None:
    """Below the position everything is done anyway."""
    position, notes = case
    later = position + ahead
    read = decode(later, encode(later, notes))
    for offset in {first for first, _end in notes.done} | {end - 1 for _first, end in notes.done} | {later}:
        assert read.is_done(offset) == (offset >= later and notes.is_done(offset))
    assert read.deliveries == {at: count for at, count in notes.deliveries.items() if at >= later}


@given(POSITIONS, st.one_of(st.text(), st.from_regex(r"1:[A-Za-z0-9_-]{0,200}", fullmatch=True), st.none()))
def test_no_text_raises(position: int, text: str | None) -> None:
    """Whatever somebody wrote, it reads as well-formed notes or as none."""
    notes = decode(position, text)
    ends = [position - 1, *(end for _first, end in notes.done)]
    assert all(first > before for (first, _end), before in zip(notes.done, ends, strict=False))
    assert all(first < end for first, end in notes.done)
    assert all(at >= position and count > 0 for at, count in notes.deliveries.items())


@given(noted(size=8), st.data())
def test_a_cut_text_is_nothing_or_true(case: tuple[int, CommitMetadata], data: st.DataObject) -> None:
    """Whoever shortens a text cannot make it say that an unfinished record is done."""
    position, notes = case
    text = encode(position, notes)
    read = decode(position, text[: data.draw(st.integers(0, len(text)))])
    for first, end in read.done:
        assert notes.is_done(first)
        assert notes.is_done(end - 1)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "nothing"),
        (None, "no metadata"),
        ("3:AAAB", "a later version"),
        ("1:AAA", "a gap without a length"),
        ("1:AQ", "a delivery that is missing"),
        ("1:AQAA", "a count of nought"),
        ("1:AQCAgICACA", "a count that is never written"),
        ("1:AgABAAE", "one offset twice"),
        ("1:gICAgICAgICAgIA", "a number without an end"),
        ("1:AAAB=", "padding"),
        ("1:A", "half a byte"),
        ("1:äöü", "not ASCII"),
        ("1:" + "A" * 4000, "too long"),
        (
            "1:" + base64.urlsafe_b64encode(b"\0" + b"\xff" * 8 + b"\x7f\0").decode().rstrip("="),
            "beyond the last offset",
        ),
        ("stored by another program", "another program's"),
    ],
)
def test_nonsense_is_no_notes(text: str | None, why: str) -> None:
    """Unknown, broken or hostile: as if nothing were written."""
    assert decode(5, text) == NO_METADATA, why


def test_a_bare_version_is_no_notes() -> None:
    """Not even the number of deliveries."""
    assert decode(0, "1:") == NO_METADATA


def test_nothing_to_say_is_no_text() -> None:
    """A partition in order leaves the metadata empty."""
    assert encode(7, CommitMetadata(((1, 5),), {6: 2, 9: 0})) == ""


def test_the_format_is_what_version_1_says() -> None:
    """Golden: a successor of another release reads exactly this."""
    notes = CommitMetadata(((102, 103), (105, 405)), {100: 1, 104: 300})
    text = encode(100, notes)
    assert text == "1:AgABBKwCAgABqwI"
    assert decode(100, text) == notes


def test_a_position_that_is_done_stays_done() -> None:
    """The record at the position may be done already: its predecessor was settled before it was handed out again."""
    notes = CommitMetadata(((10, 12),))
    assert decode(10, encode(10, notes)) == notes


@given(st.lists(st.tuples(st.integers(0, 60), st.integers(1, 9)), max_size=12))
def test_merged_ranges_cover_the_same_offsets(pairs: list[tuple[int, int]]) -> None:
    """In order, apart from each other, and not one offset more or less."""
    ranges = [(first, first + length) for first, length in pairs]
    joined = merged(ranges)
    assert {at for each in joined for at in range(*each)} == {at for each in ranges for at in range(*each)}
    assert all(before[1] < after[0] for before, after in itertools.pairwise(joined))
