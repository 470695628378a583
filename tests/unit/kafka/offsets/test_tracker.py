"""The commit position, against a model that is too simple to be wrong."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from kallback.kafka import TopicPartition
from kallback.kafka.offsets.tracker import CommitTracker, DoneResult

A = TopicPartition("t", 0)
B = TopicPartition("t", 1)
WINDOW = 6
PARTITIONS = st.sampled_from([A, B])


class Life(RuleBasedStateMachine):
    """Random lives of two partitions. The model: every delivered offset of an epoch, and whether it is done."""

    def __init__(self) -> None:
        super().__init__()
        self.tracker = CommitTracker(WINDOW)
        self.model: dict[TopicPartition, dict[int, bool]] = {}
        self.committed: dict[TopicPartition, int] = {}
        self.begun: dict[TopicPartition, int] = {}
        self.ends: dict[TopicPartition, int] = {}
        self.past: list[tuple[TopicPartition, int, int]] = []
        self.seen: list[tuple[TopicPartition, int, int]] = []

    def position(self, partition: TopicPartition) -> int:
        """The lowest unfinished offset, else the one after the last, or the end where that is known."""
        offsets = self.model[partition]
        return min((each for each, done in offsets.items() if not done), default=self.ahead(partition))

    def ahead(self, partition: TopicPartition) -> int:
        """The offset after the last one of which anything is known."""
        return max(max(self.model[partition], default=10) + 1, self.ends.get(partition, 0))

    @rule(partition=PARTITIONS)
    def assign(self, partition: TopicPartition) -> None:
        """A new epoch."""
        self._end(partition)
        self.tracker.assign(partition)
        self.model[partition] = {}

    @rule(partition=PARTITIONS)
    def revoke(self, partition: TopicPartition) -> None:
        """The end of an epoch."""
        self._end(partition)
        self.tracker.revoke(partition)
        self.model.pop(partition, None)

    @precondition(lambda self: self.model)
    @rule(data=st.data(), gap=st.integers(0, 3), skip=st.booleans())
    def deliver(self, data: st.DataObject, gap: int, *, skip: bool) -> None:
        """The next offset, with a gap before it at times; at times an earlier owner has finished it."""
        partition = data.draw(st.sampled_from(sorted(self.model)))
        if self.tracker.room(partition) == 0:
            return
        offset = self.ahead(partition) + gap
        (self.tracker.skipped if skip else self.tracker.delivered)(partition, offset)
        self.begun.setdefault(partition, offset)
        self.model[partition][offset] = skip
        epoch = self.tracker.epoch(partition)
        assert epoch is not None
        self.seen.append((partition, epoch, offset))

    @precondition(lambda self: self.model)
    @rule(data=st.data(), gap=st.integers(0, 3))
    def reach(self, data: st.DataObject, gap: int) -> None:
        """Nothing lies behind the delivered records up to some end; it counts once they are done."""
        partition = data.draw(st.sampled_from(sorted(self.model)))
        end = self.ahead(partition) + gap
        settled = all(self.model[partition].values())
        assert self.tracker.reached(partition, end) is settled
        if settled:
            self.ends[partition] = end
            self.begun.setdefault(partition, end)

    @precondition(lambda self: self.seen)
    @rule(data=st.data())
    def settle(self, data: st.DataObject) -> None:
        """Any delivered record becomes done, also twice."""
        partition, epoch, offset = data.draw(st.sampled_from(self.seen))
        expected = DoneResult.UNKNOWN if self.model[partition][offset] else DoneResult.COUNTED
        assert self.tracker.done(partition, epoch, offset) is expected
        self.model[partition][offset] = True

    @precondition(lambda self: self.past)
    @rule(data=st.data())
    def settle_stale(self, data: st.DataObject) -> None:
        """A record of an earlier epoch becomes done: ignored, whatever that offset is now."""
        assert self.tracker.done(*data.draw(st.sampled_from(self.past))) is DoneResult.STALE

    @rule()
    def commit(self) -> None:
        """Positions go to Kafka; they never go back."""
        positions = self.tracker.uncommitted()
        for partition, position in positions.items():
            assert position > self.committed.get(partition, -1)
            assert position == self.position(partition)
            self.committed[partition] = position
        self.tracker.committed(positions)
        assert self.tracker.uncommitted() == {}

    @invariant()
    def nothing_unfinished_lies_below_a_position(self) -> None:
        """What would be committed now is right, and nothing that could be is missing."""
        positions = self.tracker.uncommitted()
        for partition, offsets in self.model.items():
            if not offsets and partition not in self.ends:
                assert self.tracker.position(partition) is None
                continue
            right = self.position(partition)
            assert self.tracker.position(partition) == right
            due = right > self.committed.get(partition, self.begun[partition])
            assert positions.get(partition) == (right if due else None)

    @invariant()
    def the_window_is_bounded(self) -> None:
        """Between position and newest delivered record lie at most a window of records."""
        for partition, offsets in self.model.items():
            above = [each for each in offsets if each >= self.position(partition)] if offsets else []
            assert self.tracker.room(partition) == WINDOW - len(above)
            assert self.tracker.unfinished([partition]) == sum(not done for done in offsets.values())

    @invariant()
    def what_notes_are_made_of_is_there(self) -> None:
        """The delivered offsets from the position on, and which of them are not done."""
        for partition, offsets in self.model.items():
            if self.tracker.position(partition) is not None:
                in_hand = self.tracker.in_hand(partition)
                assert list(in_hand.offsets) == [each for each in offsets if each >= self.position(partition)]
                assert set(in_hand.unfinished) == {each for each, done in offsets.items() if not done}
                assert in_hand.ahead == self.ahead(partition)

    def _end(self, partition: TopicPartition) -> None:
        self.past += [each for each in self.seen if each[0] == partition]
        self.seen = [each for each in self.seen if each[0] != partition]
        for known in (self.committed, self.begun, self.ends):
            known.pop(partition, None)


Life.TestCase.settings = settings(max_examples=150, stateful_step_count=40)
TestLife = Life.TestCase


def test_offsets_of_one_epoch_ascend() -> None:
    """An offset that goes back is a new epoch, which the consumer must begin."""
    tracker = CommitTracker(WINDOW)
    tracker.assign(A)
    tracker.delivered(A, 5)
    with pytest.raises(ValueError, match="ascend"):
        tracker.delivered(A, 5)


def test_a_full_window_takes_no_more() -> None:
    """Delivering beyond the window is a bug of the consumer."""
    tracker = CommitTracker(1)
    tracker.assign(A)
    tracker.delivered(A, 5)
    with pytest.raises(ValueError, match="full"):
        tracker.delivered(A, 6)


def test_a_window_holds_something() -> None:
    """A window of nothing would never deliver."""
    with pytest.raises(ValueError, match="at least one"):
        CommitTracker(0)


def test_an_unassigned_partition_has_no_room() -> None:
    """Nothing is delivered of a partition that is not ours; a late acknowledgement is ignored."""
    tracker = CommitTracker(3)
    assert (tracker.room(A), tracker.epoch(A), tracker.assignment()) == (0, None, frozenset())
    tracker.committed({A: 5})
    assert tracker.uncommitted() == {}


def test_finished_records_above_the_position_are_counted() -> None:
    """Those below it are not: the position tells of them."""
    partition, tracker = TopicPartition("t", 0), CommitTracker(10)
    epoch = tracker.assign(partition)
    for offset in range(4):
        tracker.delivered(partition, offset)
    for offset in (0, 2, 3):
        tracker.done(partition, epoch, offset)
    assert (tracker.position(partition), tracker.finished(partition)) == (1, 2)
    assert tracker.finished(TopicPartition("t", 1)) == 0


def committed_up_to(offset: int) -> CommitTracker:
    """A tracker of A whose commit Kafka has acknowledged."""
    tracker = CommitTracker(100)
    epoch = tracker.assign(A)
    for each in range(offset):
        tracker.delivered(A, each)
        tracker.done(A, epoch, each)
    tracker.committed({A: offset})
    return tracker


@pytest.mark.parametrize("found", [None, 2])
def test_a_commit_that_is_gone_or_set_back_is_due_again(found: int | None) -> None:
    """Once: then Kafka holds it again."""
    tracker = committed_up_to(5)
    assert tracker.undone_commits(tracker.known_commits(), {A: found}) == {A: 5}
    assert tracker.uncommitted() == {A: 5}
    tracker.committed({A: 5})
    assert tracker.undone_commits(tracker.known_commits(), {A: 5}) == {}
    assert tracker.uncommitted() == {}


def test_an_answer_that_an_acknowledgement_has_overtaken_says_nothing() -> None:
    """It was given before."""
    tracker = committed_up_to(5)
    before = tracker.known_commits()
    tracker.delivered(A, 5)
    tracker.done(A, tracker.epoch(A) or 0, 5)
    tracker.committed({A: 6})
    assert tracker.undone_commits(before, {A: 4}) == {}


def test_what_was_committed_before_the_assignment_is_learnt_from_the_first_answer() -> None:
    """It is missed from then on, also of a partition that nothing was read of."""
    tracker = CommitTracker(100)
    tracker.assign(A)
    tracker.reached(A, 7)
    assert tracker.undone_commits(tracker.known_commits(), {A: 7}) == {}
    assert tracker.uncommitted() == {}
    assert tracker.undone_commits(tracker.known_commits(), {A: None}) == {A: 7}
    assert tracker.uncommitted() == {A: 7}


def test_answers_about_another_assignment_say_nothing() -> None:
    """Nor about partitions that are not assigned."""
    tracker = committed_up_to(5)
    before = tracker.known_commits()
    tracker.assign(A)
    assert tracker.undone_commits(before, {A: None, B: None}) == {}
