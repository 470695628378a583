"""The seams through which records arrive: a group's consumer and a groupless reader of a whole topic.

The caller controls the flow: without calls of `fetch` it gets nothing and loses nothing. The client goes on
heartbeating, keeps its partitions and buffers a bounded number of records. No pause or resume is needed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final, Protocol, Self, runtime_checkable

from kallback.protocol.errors import ConfigurationError
from kallback.settings.option_types import check_counts, check_option_types, check_seconds

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Sequence
    from types import TracebackType

    from kallback.kafka.group_status import GroupStatus
    from kallback.kafka.records import Record, Screen, TopicPartition

_FRAME_BYTES = 64 * 1024  # a record has a little more than its key, value and headers
_GROUP_CHARACTERS: Final = 1_000
_INSTANCE_ID: Final = re.compile(r"(?!\.{1,2}\Z)[A-Za-z0-9._-]{1,249}")  # as brokers check it


def check_group(group: object) -> None:
    """Refuse a consumer group with which librdkafka aborts the process (blank), or joins another group than aiokafka.

    librdkafka cuts white space off both ends, and everything from a NUL on.

    Raises:
        ConfigurationError: it cannot be used.
    """
    text = group if isinstance(group, str) else ""
    if text and text == text.strip() and text.isprintable() and len(text) <= _GROUP_CHARACTERS:
        return
    shown = group if len(text) <= _GROUP_CHARACTERS else f"{text[:20]}..."
    raise ConfigurationError(
        f"{shown!r} is no name of a consumer group: use at most {_GROUP_CHARACTERS:,} printable characters, without "
        "white space at either end (kallback bridge --group, or the name in Worker('...'))"
    )


class GroupProtocol(StrEnum):
    """How the members of a group agree on their partitions."""

    CLASSIC = "classic"
    """Client-side assignment, see `Assignment`."""
    CONSUMER = "consumer"
    """KIP-848, decided by the broker; confluent-kafka only. After a crash a successor waits for the
    broker's own session timeout (45 s), so it is not the default."""


class Assignment(StrEnum):
    """How the members of a classic group move partitions; all members of a group do it in the same way."""

    EAGER = "eager"
    """Every member gives all its partitions up and gets its share. Both clients do this, so a group may have members of
    both, and change its client in a rolling update."""
    COOPERATIVE = "cooperative"
    """Members give up only what moves. confluent-kafka does this, for members without an instance id; others are
    eager."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsumerOptions:
    """How a consumer behaves; the same for every client.

    Attributes:
        group_instance_id: static membership: a restarted process that comes back under the same name within
            `session_timeout` gets its partitions back at once, without a rebalance. Unique per process.
            Default: none, because two processes with the same name fence each other. All members of a group have
            names, or none has: the two kinds assign partitions in different ways.
        group_protocol: see `GroupProtocol`; default classic.
        assignment: see `Assignment`; default cooperative, where the client can.
        window: records of one partition that may lie between the commit position and the newest record handed
            out. It bounds what a crash makes Kafka deliver again, and how far a partition runs ahead of its
            slowest record. Default 10,000: only offsets are kept for it, a few hundred kilobytes at most.
        unfinished_records: records of one partition that may be handed out and not done. Default: no bound but the
            window. Set it below what the caller can hold in all, and a partition full of slow records cannot
            stop the others.
        unfinished_bytes: the same in bytes of keys and values. Default: no bound.
        commit_interval: seconds between commits of what is done. Default 1: after a crash, what was done
            within it may be redelivered.
        drain_timeout: seconds that a rebalance waits for the unfinished records of the partitions that are
            taken away. Default 10: well below the session timeout; the other members wait for as long.
        session_timeout: seconds without heartbeat after which the group gives this member's partitions away.
            Default 45, as Kafka's own: shorter ones throw members out when a laptop or a loop stalls.
        buffer_records: records of one partition that are buffered in the process before it is paused. Default 500.
        buffer_bytes: the same in bytes of keys, values and headers. Default 4 MiB.
        buffer_bytes_total: bytes buffered of all partitions together. Default 16 MiB: a partition is paused when it is
            reached, however few bytes of that partition are buffered; a partition of which nothing is buffered goes on.
        batch_bytes: bytes to which a record batch may unfold when it is decompressed. Default 16 MiB; never less than
            one record of `KafkaSettings.max_request_bytes`. A larger batch counts as damaged. With confluent-kafka this
            holds for zstd only: librdkafka decompresses gzip, lz4 and snappy without a bound.
        response_bytes: bytes of record batches that Kafka is asked for at once, of all partitions together; a first
            batch that is larger comes all the same. Default 4 KiB: librdkafka has all batches of a response in memory
            at once, and one of 300 bytes may unfold to 4.5 MB; with 16 KiB a bridge took 365 MiB. From a broker near by
            come 20,000 records a second, if each is a batch of its own, and 100,000 in larger batches. aiokafka ignores
            it: there, what batches unfold to is bounded in all.
        stop_at_damaged_batch: end with an error at a record batch that cannot be read: its checksum is wrong, it cannot
            be decompressed, or it unfolds beyond `batch_bytes`. Default: step over exactly its offsets, as one
            unreadable record (see `Record.unreadable`).
        commit_metadata: write into the commit metadata which records above the commit position are done and how often
            records were started. After a crash, a record that was done out of order is not handed out again, and
            `Record.deliveries` counts. Default: off; it costs a little per record and commit, which pays where a
            record is minutes of work.
        mark_history: mark records that were written before the group had committed anything of their partition (see
            `Record.history`): the group is new, or its offsets were lost. Until they are read, the commit metadata says
            where they end. Default: off; each assignment then costs a question to Kafka. Not with `commit_metadata`.
    """

    group_instance_id: str | None = None
    group_protocol: GroupProtocol = GroupProtocol.CLASSIC
    assignment: Assignment = Assignment.COOPERATIVE
    window: int = 10_000
    unfinished_records: int | None = None
    unfinished_bytes: int | None = None
    commit_interval: float = 1.0
    drain_timeout: float = 10.0
    session_timeout: float = 45.0
    buffer_records: int = 500
    buffer_bytes: int = 4 * 1024 * 1024
    buffer_bytes_total: int = 16 * 1024 * 1024
    batch_bytes: int = 16 * 1024 * 1024
    response_bytes: int = 4 * 1024
    stop_at_damaged_batch: bool = False
    commit_metadata: bool = False
    mark_history: bool = False

    def __post_init__(self) -> None:
        """Refuse types, two uses of the one text beside a commit position, and a name that brokers refuse."""
        if self.group_instance_id is not None and not _INSTANCE_ID.fullmatch(str(self.group_instance_id)):
            raise ConfigurationError(
                f"Kafka does not accept the instance id {self.group_instance_id!r}: use at most 249 letters, digits, "
                "dots, dashes and underscores (--instance-id, or ConsumerOptions.group_instance_id)"
            )
        check_option_types(self)
        check_seconds(self, "session_timeout")
        check_seconds(self, "commit_interval", "drain_timeout", least=0.0)
        check_counts(
            self,
            "window",
            "unfinished_records",
            "unfinished_bytes",
            "buffer_records",
            "buffer_bytes",
            "buffer_bytes_total",
            "batch_bytes",
            "response_bytes",
        )
        if self.commit_metadata and self.mark_history:
            raise ConfigurationError("commit_metadata and mark_history both write commit metadata: use one of them")

    @property
    def asks_for_starts(self) -> bool:
        """Whether what the group has committed is asked for before a partition is read."""
        return self.commit_metadata or self.mark_history

    def batch_bound(self, max_request_bytes: int) -> int:
        """Return the bytes to which a batch may unfold where records may have `max_request_bytes`."""
        return max(self.batch_bytes, max_request_bytes + _FRAME_BYTES)


@runtime_checkable
class Consumer(Protocol):
    """Reads topics as one member of a group; records are settled in any order.

    Every method is called from the event loop that ran `start`, except `started` and `done`, which any thread may
    call. Records of one partition are handed out in order. Committed positions never pass a record that is handed
    out and not done; so after a crash every such record comes again. Records above it that are done come again, too,
    unless the consumer keeps notes (`ConsumerOptions.commit_metadata`) and these fit into 3 KiB per partition.

    A partition that is taken away (rebalance): nothing more of it is handed out, its unfinished records get
    `drain_timeout` to become done, what is done is committed, then it goes. A record still unfinished then is
    delivered to the next owner, and its later `done` has no effect.

    Topics may change while they are read; it is noticed within 30 s and said in the log. Added partitions are read from
    their beginning. A topic that was deleted and created anew is read from its beginning, and what is committed of the
    old one does not count; records may be handed out twice. While a topic does not exist, `GroupStatus.missing_topics`
    names it, and the other topics are read. Records that Kafka deleted before they were read are named in the log.
    """

    async def start(self) -> None:
        """Connect, check the topics, join the group (without waiting for the first assignment).

        Raises:
            MissingTopicError: a topic does not exist; the sentence names the command that creates it.
            AccessDeniedError: the cluster refuses the credentials, or reading a topic.
            KafkaUnavailableError: no broker answered within the connect timeout.
        """
        ...

    async def fetch(self, limit: int, timeout: float) -> list[Record]:  # noqa: ASYNC109 - a poll's patience, not a deadline on work
        """Hand out the next records.

        The first record is handed out as soon as it is there, together with what is there already; nothing
        waits for a batch to fill. Cancelling loses no record: the next call hands it out. One call at a time.

        Args:
            limit: the maximum number of records, at least 1.
            timeout: seconds to wait for the first one.

        Returns:
            The records, oldest first per partition; empty when the time is over.

        Raises:
            AccessDeniedError: this user may not be in the group, or a permission or the credentials were withdrawn.
            KafkaUnavailableError: this consumer cannot go on; stop it and start another.
        """
        ...

    def started(self, record: Record) -> None:
        """Say that work on the record starts: if this process dies before it is done, that counts as a delivery.

        From now on until `done`, each commit says so, and the record's next owner sees it in `Record.deliveries`. A
        start that is followed by the death of the process within `commit_interval` is missed, unless `commit` is
        awaited in between. Giving the partition up in good order (stop, rebalance) takes the start back. From any
        thread, cheap; ignored for a record of an earlier assignment, and without `ConsumerOptions.commit_metadata`.
        """
        ...

    def must_commit_start(self, record: Record) -> bool:
        """Whether `commit` is to be awaited after `started`, before the work on the record begins.

        So it is for the first start of an assignment, which tells the next owner of the partition that this process was
        at work; and for a while after an owner that died, because the record may be the one that it died of. False for
        a record of an earlier assignment, and without `ConsumerOptions.commit_metadata`. From any thread, cheap.
        """
        ...

    def set_aside(self, records: Sequence[Record]) -> None:
        """Say that only the positions of these records are held from now on, until they are done.

        `ConsumerOptions.unfinished_records` and `unfinished_bytes` do not count them any more; the window does. From
        any thread, cheap. Records of an earlier assignment, unknown ones and a second call are ignored.
        """
        ...

    def on_revoke(self, then: Callable[[frozenset[TopicPartition]], None]) -> None:
        """Have partitions that will be taken away told, before the wait for their unfinished records.

        Called before `start`. `then` is called from any thread and must not block.
        """
        ...

    def screen(self, screen: Screen) -> None:
        """Have each record screened as it is read, before it is buffered.

        Consecutive records that are refused for one reason are handed out as one, see `Record.refused`: its `done` is
        the `done` of all of them. So what lies behind many refused records does not wait until each was handed out.

        Called before `start`. `screen` is called from any thread, for a few records at a time, and must not block.
        """
        ...

    def release(self, record: Record) -> None:
        """Say that a rebalance need not wait for the record: work on it has not begun.

        It stays unfinished, and its next owner gets it. From any thread, cheap; ignored for a record of an earlier
        assignment.
        """
        ...

    def done(self, record: Record) -> None:
        """Say that the record's outcome is durable: it need not come again.

        In any order, from any thread, cheap. A record of an earlier assignment, an unknown one and a second
        call are ignored.
        """
        ...

    async def commit(self) -> None:
        """Commit what is done, and notes if they have changed, now.

        It also happens on a timer, when partitions are revoked and on stop.

        A commit that fails is a log line, never an error: the next one covers it.
        """
        ...

    def assignment(self) -> frozenset[TopicPartition]:
        """The partitions that this member owns now."""
        ...

    def unfinished(self) -> int:
        """The number of records that are handed out and not done."""
        ...

    def group_status(self) -> GroupStatus:
        """The status of this member: lag, windows, rebalances, last poll. For metrics and probes; cheap, no I/O."""
        ...

    async def stop(self) -> None:
        """Commit what is done and leave the group. Waiting for unfinished records is the caller's.

        Stopping twice is fine; nothing is left running. A stopped consumer is not started again.
        """
        ...

    async def __aenter__(self) -> Self:
        """Start."""
        ...

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop."""
        ...


@runtime_checkable
class TopicReader(Protocol):
    """Reads all partitions of one topic without a group: every process sees every record.

    Nothing is committed; each start reads from the beginning (or from a time). Partitions that are added are read
    within 30 s, from their beginning; so is a topic that is deleted and created anew. While it does not exist, nothing
    comes.
    """

    @property
    def caught_up(self) -> asyncio.Event:
        """Set once `fetch` has returned every record that the topic held when the reader started.

        It is set as that `fetch` returns. So a caller that handles a batch without awaiting in between has handled
        it before any task that waits for the event runs.
        """
        ...

    async def start(self) -> None:
        """Connect and find the partitions; errors as those of `Consumer.start`."""
        ...

    async def fetch(self, timeout: float) -> list[Record]:  # noqa: ASYNC109 - a poll's patience, not a deadline on work
        """Return the next records, the first as soon as it is there; empty when the time is over.

        Cancelling loses no record.
        """
        ...

    async def stop(self) -> None:
        """Close; stopping twice is fine."""
        ...

    async def __aenter__(self) -> Self:
        """Start."""
        ...

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop."""
        ...
