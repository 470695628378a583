"""Owner after owner of one partition, against a model: nothing is lost, nothing done comes again, counts are right."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from kallback.kafka import ConsumerOptions, Record, TopicPartition
from kallback.kafka.offsets.commit_metadata import CommitMetadata, decode
from kallback.kafka.offsets.history import PartitionStart
from kallback.kafka.offsets.metadata_buffer import MetadataBuffer
from kallback.kafka.offsets.partition_metadata import ANY_END, NO_COMMIT

A = TopicPartition("t", 0)
LOG = [at for at in range(5, 45) if at % 7]
"""Offsets with gaps, as transactions leave them."""


class Lives(RuleBasedStateMachine):
    """Processes that take, begin, finish, commit, and end in either way."""

    def __init__(self) -> None:
        super().__init__()
        self.commit = NO_COMMIT
        self.finished: set[int] = set()
        self.noted_done: set[int] = set()
        self.noted_starts: dict[int, int] = {}
        self.noted_at_work = False
        self.begin_life()

    def begin_life(self) -> None:
        """Own the partition, as whoever comes after the last owner."""
        self.books = MetadataBuffer(ConsumerOptions(window=12, commit_metadata=True), lambda: None)
        self.books.restore({A: PartitionStart(self.commit, 0, ANY_END)})
        self.epoch = self.books.assign([A])[A]
        self.rest = [at for at in LOG if at >= self.commit.position]
        self.open: dict[int, Record] = {}
        self.begun: set[int] = set()
        self.done_here: set[int] = set()
        self.found_at_work = self.noted_at_work
        self.done_before, self.starts_before = set(self.noted_done), dict(self.noted_starts)

    @rule(count=st.integers(1, 15))
    def arrive(self, count: int) -> None:
        """The client reads on."""
        offsets, self.rest = self.rest[:count], self.rest[count:]
        self.books.put(A, [Record("t", 0, at, 0, None, b"", (), self.epoch) for at in offsets])

    @rule(limit=st.integers(1, 15))
    def take(self, limit: int) -> None:
        """Only what nobody is known to have done comes, with its count."""
        for record in self.books.take(limit):
            assert record.offset not in self.done_before
            assert record.deliveries == self.starts_before.get(record.offset, 0) + 1
            self.open[record.offset] = record

    @precondition(lambda self: self.open)
    @rule(data=st.data())
    def begin(self, data: st.DataObject) -> None:
        """Work begins."""
        at = data.draw(st.sampled_from(sorted(self.open)))
        self.books.started(self.open[at])
        self.begun.add(at)

    @precondition(lambda self: self.open)
    @rule(data=st.data())
    def finish(self, data: st.DataObject) -> None:
        """A record becomes done, begun or not."""
        at = data.draw(st.sampled_from(sorted(self.open)))
        self.books.done(self.open.pop(at))
        self.done_here.add(at)
        self.finished.add(at)

    @rule(leaving=st.booleans())
    def write(self, *, leaving: bool) -> None:
        """Commit; in good order, the process ends with it."""
        commits = self.books.commits(leaving=leaving)
        self.books.committed(commits)
        self.commit = commits.get(A, self.commit)
        self.noted_done = self.done_before | self.done_here
        own = set[int]() if leaving else self.begun
        self.noted_starts = {
            at: count
            for at in LOG
            if at not in self.noted_done and (count := self.starts_before.get(at, 0) + (at in own and at in self.open))
        }
        self.noted_at_work = self.found_at_work or bool(own)
        assert self.books.commits(leaving=leaving) == {}
        if leaving:
            self.begin_life()

    @rule()
    def die(self) -> None:
        """The process ends without a word."""
        self.begin_life()

    def teardown(self) -> None:
        """The last owner finishes everything: each record was done by somebody, and the position is behind them all."""
        self.begin_life()
        self.arrive(len(LOG))
        while taken := self.books.take(5):
            for record in taken:
                self.books.done(record)
                self.finished.add(record.offset)
        assert self.finished == set(LOG)
        commit = self.books.commits().get(A, self.commit)
        expected = CommitMetadata(at_work=self.found_at_work)
        assert (commit.position, decode(commit.position, commit.metadata)) == (LOG[-1] + 1, expected)


Lives.TestCase.settings = settings(max_examples=200, stateful_step_count=50)
TestLives = Lives.TestCase
