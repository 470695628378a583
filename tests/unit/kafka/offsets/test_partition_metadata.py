"""One partition's notes: found, kept, added to, and taken back on leaving."""

from __future__ import annotations

from kallback.kafka.offsets.commit_metadata import NO_METADATA, CommitMetadata, OffsetRange, decode, encode
from kallback.kafka.offsets.partition_metadata import Commit, PartitionMetadata, found_commit


def found(position: int, *done: OffsetRange, **deliveries: int) -> PartitionMetadata:
    """A book that begins with a predecessor's notes; offsets of deliveries are written `at7=2`."""
    counts = {int(at.removeprefix("at")): count for at, count in deliveries.items()}
    return PartitionMetadata(Commit(position, encode(position, CommitMetadata(done, counts))))


def test_a_text_that_is_too_long_is_not_kept() -> None:
    """It is none of ours, and a broker may allow megabytes."""
    assert found_commit(7, "1:" + "A" * 4000) == Commit(7)


def read(
    book: PartitionMetadata, delivered: list[int], unfinished: set[int], *, ahead: int, leaving: bool = False
) -> CommitMetadata:
    """What the next commit would say."""
    return decode(min(delivered, default=ahead), book.text(delivered, unfinished, ahead=ahead, leaving=leaving))


def test_what_is_done_above_the_position_is_noted() -> None:
    """Ranges of delivered offsets that are done."""
    assert read(PartitionMetadata(), [0, 1, 2, 3, 4], {0, 3}, ahead=5).done == ((1, 3), (4, 5))


def test_a_range_spans_what_kafka_does_not_deliver() -> None:
    """Offsets of transaction markers, every other one, do not cut a range in two."""
    assert read(PartitionMetadata(), [0, 2, 4, 6], {0}, ahead=7).done == ((2, 7),)


def test_an_orderly_partition_says_nothing() -> None:
    """With all done, or nothing started, the metadata stays empty."""
    assert PartitionMetadata().text([], set(), ahead=7, leaving=False) == ""
    assert PartitionMetadata().text([5, 6], {5, 6}, ahead=7, leaving=False) == ""


def test_a_start_counts_until_it_is_done() -> None:
    """A started record's count travels with each commit while it is unfinished."""
    book = PartitionMetadata()
    book.started(1)
    assert read(book, [0, 1], {0, 1}, ahead=2).deliveries == {1: 1}
    assert read(book, [0, 1], {0}, ahead=2) == CommitMetadata(((1, 2),), {}, at_work=True)


def test_a_start_adds_to_what_others_did() -> None:
    """The third process to start a record says three."""
    book = found(0, at0=2)
    assert book.deliveries(0) == 3
    book.started(0)
    assert read(book, [0], {0}, ahead=1).deliveries == {0: 3}


def test_leaving_takes_the_own_start_back_and_keeps_the_others() -> None:
    """Who goes in good order leaves the counts that it found."""
    book = found(0, at0=2)
    book.started(0)
    book.started(1)
    assert read(book, [0, 1], {0, 1}, ahead=2, leaving=True).deliveries == {0: 2}


def test_what_was_not_started_keeps_the_count_of_others() -> None:
    """A record that waits in this process loses nothing of its history."""
    assert read(found(0, at0=2), [0], {0}, ahead=1).deliveries == {0: 2}


def test_what_was_not_read_yet_keeps_its_notes() -> None:
    """A crash soon after a crash: notes of records that nobody has seen since still hold."""
    book = found(0, (2, 4), (50, 60), at70=1)
    assert book.is_done(50)
    read_back = read(book, [0, 1, 2, 3], {0, 1}, ahead=4)
    assert (read_back.done, read_back.deliveries) == (((2, 4), (50, 60)), {70: 1})


def test_a_range_that_begins_at_the_position_still_holds() -> None:
    """All that was handed out is done, and the predecessor's range begins right there."""
    assert read(found(0, (1, 9)), [], set(), ahead=1).done == ((1, 9),)


def test_a_record_below_the_position_found_voids_the_notes() -> None:
    """The log lost its end while nobody read it, and the group begins anew: new records are at the noted offsets."""
    book = found(10, (12, 15), at11=2)
    assert (book.is_done(3), book.is_done(12), book.deliveries(11)) == (False, False, 1)


def test_offsets_that_went_back_are_other_records() -> None:
    """After a truncation nothing of the old notes applies; Kafka still holds their text, which must be replaced."""
    book = found(0, (1, 9), at0=2)
    old = book.metadata
    book.restart()
    assert (book.is_done(1), book.deliveries(0), book.metadata) == (False, 1, old)


def test_a_process_that_has_started_something_says_that_it_is_at_work_until_it_leaves() -> None:
    """Also when all is done: what it starts before the next commit is noted nowhere else."""
    book = PartitionMetadata()
    assert not read(book, [0], {0}, ahead=1).at_work
    book.started(0)
    assert read(book, [], set(), ahead=1) == CommitMetadata(at_work=True)
    assert read(book, [], set(), ahead=1, leaving=True) == NO_METADATA


def test_the_doubt_after_a_dead_owner_ends_some_time_after_the_first_start() -> None:
    """Until then a process that leaves hands it on: what the dead one did may not have come yet."""
    now = [100.0]
    died = Commit(0, encode(0, CommitMetadata(at_work=True)))
    book = PartitionMetadata(died, doubt_s=5.0, monotonic=lambda: now[0])
    now[0] = 1_000.0
    assert read(book, [0], {0}, ahead=1, leaving=True).at_work
    book.started(0)
    now[0] = 1_004.9
    assert (book.must_commit_starts(), read(book, [0], {0}, ahead=1, leaving=True).at_work) == (True, True)
    now[0] = 1_005.0
    book.acknowledge(book.text([0], {0}, ahead=1, leaving=False))
    assert (book.must_commit_starts(), read(book, [0], {0}, ahead=1, leaving=True).at_work) == (False, False)
