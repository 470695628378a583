"""Records that a screen refuses: consecutive ones are handed out as one, and settled as one."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from kallback.kafka import ConsumerOptions, Record, Refusal, TopicPartition
from kallback.kafka.offsets.partition_metadata import Commit
from kallback.kafka.offsets.record_buffer import RecordBuffer
from kallback.kafka.offsets.refused_runs import MAX_RUN, folded

A = TopicPartition("t", 0)


def screen(records: Sequence[Record]) -> list[object]:
    """Refuse values that begin with `!`, with the value as reason; of others, tell the length."""
    texts = [(record.offset, (record.value or b"").decode()) for record in records]
    return [Refusal(text, f"at {offset}") if text.startswith("!") else len(text) for offset, text in texts]


def records(text: str, first: int = 0, *, epoch: int = 1) -> list[Record]:
    """Make a record of each word, with consecutive offsets."""
    return [Record("t", 0, first + n, first + n, None, word.encode(), (), epoch) for n, word in enumerate(text.split())]


def shape(found: Sequence[Record]) -> list[tuple[int, int, int]]:
    """Offset, count and next offset of each."""
    return [(each.offset, each.count, each.next_offset) for each in found]


@pytest.fixture
def books() -> RecordBuffer:
    """A record buffer with a screen, which owns partition A."""
    books = RecordBuffer(ConsumerOptions(window=3, buffer_records=3), lambda: None)
    books.screen = screen
    books.assign([A])
    return books


def test_consecutive_refused_records_are_one() -> None:
    """It is the first of them, and says how many they are and where they end."""
    run = folded(records("!a !a !a"), screen)
    assert shape(run) == [(0, 3, 3)]
    assert run[0].refused is not None
    assert (run[0].value, run[0].refused.refusal.detail, run[0].refused.last_ms) == (b"!a", "at 0", 2)


def test_a_record_that_is_not_refused_stands_between_two_runs() -> None:
    """Order and offsets are kept."""
    assert shape(folded(records("!a !a ok !a"), screen)) == [(0, 2, 2), (2, 1, 3), (3, 1, 4)]


def test_a_record_that_is_not_refused_carries_what_was_found() -> None:
    """What the screen has found out need not be found out again."""
    assert [each.screened for each in folded(records("!a four ok"), screen)] == [None, 4, 2]


def test_records_stay_as_they_are_while_the_screen_does_not_look() -> None:
    """There is no flood: nothing is looked at, and nothing is copied."""
    read = records("!a ok")
    assert folded(read, lambda _: None) is read


def test_another_reason_begins_another_run() -> None:
    """A run has one reason."""
    assert shape(folded(records("!a !b !b"), screen)) == [(0, 1, 1), (1, 2, 3)]


def test_records_of_which_something_else_is_known_begin_another_run() -> None:
    """What is known of a run, such as its token, holds for each of its records; also where runs meet in the buffer."""

    def knowing(read: Sequence[Record]) -> list[Refusal]:
        return [Refusal("copy", "", about=(record.value or b"")[:1]) for record in read]

    assert shape(folded(records("a1 a2 b1"), knowing)) == [(0, 2, 2), (2, 1, 3)]
    books = RecordBuffer(ConsumerOptions(window=9, buffer_records=9), lambda: None)
    books.screen = knowing
    epoch = books.assign([A])[A]
    for offset, word in enumerate(("a1", "a2", "b1", "b2")):
        books.put(A, records(word, offset, epoch=epoch))
    assert shape(books.take(9)) == [(0, 2, 2), (2, 2, 4)]


def test_a_gap_begins_another_run() -> None:
    """A run names exactly the offsets of its records."""
    assert shape(folded([*records("!a"), *records("!a", 5)], screen)) == [(0, 1, 1), (5, 1, 6)]


def test_a_run_grows_while_it_is_buffered(books: RecordBuffer) -> None:
    """However many come, the buffer is not full."""
    for number in range(1000):
        books.put(A, records("!a", number))
    assert not books.is_full(A)
    assert shape(books.take(10)) == [(0, 1000, 1000)]


def test_a_run_that_was_handed_out_grows_no_more(books: RecordBuffer) -> None:
    """What comes later is another one."""
    books.put(A, records("!a"))
    first = books.take(10)
    books.put(A, records("!a", 1))
    assert shape(first + books.take(10)) == [(0, 1, 1), (1, 1, 2)]


def test_runs_of_two_epochs_stay_apart(books: RecordBuffer) -> None:
    """Offsets of a log that was created anew do not continue those of the old one."""
    books.put(A, records("!a"))
    epoch = books.restart(A, 1)
    books.put(A, records("!a", 1, epoch=epoch))
    assert shape(books.take(10)) == [(0, 1, 1), (1, 1, 2)]


def test_a_run_is_not_longer_than_a_summary_can_count(books: RecordBuffer) -> None:
    """Beyond it another one begins."""
    for first in range(0, MAX_RUN + 1000, 1000):
        books.put(A, records("!a " * 1000, first))
    assert [each.count for each in books.take(10)] == [MAX_RUN, 1000]


def test_one_done_settles_a_run(books: RecordBuffer) -> None:
    """The position passes all its records."""
    books.put(A, records("!a !a !a ok"))
    run, ok = books.take(10)
    books.done(ok)
    assert books.commits() == {}
    books.done(run)
    assert books.commits() == {A: Commit(4)}
