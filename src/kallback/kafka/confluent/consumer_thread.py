"""The thread that owns a librdkafka consumer: it alone makes calls into it, rebalance callbacks included.

`confluent/consumer.py` explains threads, back-pressure and rebalances.
"""

from __future__ import annotations

import asyncio
import queue
import threading
import time
from typing import TYPE_CHECKING, Final, Literal

from kallback.kafka.confluent.client import ClientErrors, build, log
from kallback.kafka.confluent.commits import Commits
from kallback.kafka.confluent.committed_offsets import committed_metadata
from kallback.kafka.confluent.group_member import client_partition, consumer_config, ours, record_of
from kallback.kafka.confluent.watermarks import ConfluentWatermarks
from kallback.kafka.consumer import ConsumerOptions
from kallback.kafka.errors import PERMANENT_FOR_A_CLIENT, error_for, fatal_code
from kallback.kafka.group_status import GroupStatus
from kallback.kafka.offsets.metadata_buffer import new_record_buffer
from kallback.kafka.records import Record, TopicPartition
from kallback.protocol.errors import KallbackError

from confluent_kafka import Consumer, KafkaError, KafkaException, Message  # isort: skip - the check comes first
from confluent_kafka import TopicPartition as ClientPartition  # isort: skip

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from kallback.settings import KafkaSettings

Command = Literal["commit", "stop"]

_POLL: Final = 0.05
_BATCH: Final = 500
_COMMIT_PATIENCE: Final = 5.0


class ConsumerThread(threading.Thread):
    """The thread that makes every call into librdkafka."""

    def __init__(self, settings: KafkaSettings, topics: Sequence[str], group: str, options: ConsumerOptions) -> None:
        super().__init__(name="kallback-consumer", daemon=True)
        self.failure: KallbackError | None = None
        self.errors = ClientErrors(settings.client_id)
        config = consumer_config(settings, group, options)
        self.consumer = build(lambda it: Consumer(it | {"error_cb": self.errors, "on_commit": self._answered}), config)
        self._commands: queue.SimpleQueue[tuple[Command, asyncio.Future[None]]] = queue.SimpleQueue()
        self._commands_lock = threading.Lock()
        self._gone = False
        self._loop = asyncio.get_running_loop()
        self._arrived = asyncio.Event()
        self.buffer = new_record_buffer(options, self.wake)
        self._topics = list(topics)
        self._options = options
        self._next: dict[TopicPartition, tuple[int, int]] = {}
        self._paused: set[TopicPartition] = set()
        self._closing = False
        self._commits = Commits(self.buffer, self.errors, self._topics[0])
        self._watermarks = ConfluentWatermarks(self.consumer)
        self._settings = settings
        self._group = group
        self._last_poll = time.monotonic()

    # The loop's side.

    async def arrival(self) -> None:
        """Wait until something may be taken, or something failed."""
        await self._arrived.wait()

    def look(self) -> None:
        """Say that the loop looks now: what comes later wakes it again."""
        self._arrived.clear()

    def wake(self) -> None:
        """Wake the loop, from any thread."""
        try:
            self._loop.call_soon_threadsafe(self._arrived.set)
        except RuntimeError:  # the loop was closed without a stop: leave the group instead of reading for nobody
            self._closing = True

    async def command(self, what: Command) -> None:
        """Have the thread do something between two polls, and wait for it."""
        future: asyncio.Future[None] = self._loop.create_future()
        with self._commands_lock:
            if self._gone:
                return
            self._commands.put((what, future))
        await asyncio.shield(future)

    def group_status(self) -> GroupStatus:
        """How the member stands, from any thread."""
        return self.buffer.group_status(self._watermarks.known, self._last_poll)

    def raise_failure(self) -> None:
        """Raise what went wrong; once if the consumer goes on, for ever if it cannot."""
        failure = self.failure
        if failure is not None:
            if not self._closing:
                self.failure = None
            raise failure

    # The thread's side.

    def run(self) -> None:
        """Poll until told to stop; whatever happens, leave the group and answer every command."""
        try:
            self.consumer.subscribe(
                self._topics,
                on_assign=self._partitions_assigned,
                on_revoke=self._partitions_revoked,
                on_lost=self._partitions_lost,
            )
            next_commit = time.monotonic() + self._options.commit_interval
            while not self._closing:
                self._run_commands()
                self._flow()
                self._poll()
                self._last_poll = now = time.monotonic()
                if now >= next_commit and not self._commits.under_way:
                    self._commits.begin(self.consumer)
                    next_commit = time.monotonic() + self._options.commit_interval
                self._watermarks.look(now, self._next, () if self.errors.all_down else self._paused)
        except KafkaException as error:
            self._fail(error.args[0])
        finally:
            self._leave()

    def _run_commands(self) -> None:
        while not self._closing:
            try:
                what, future = self._commands.get_nowait()
            except queue.Empty:
                return
            if what == "stop":
                self._closing = True
                self._commands.put((what, future))  # answered when the group is left
            else:
                self._commit_and_wait()
                self._answer(future)

    def _answer(self, future: asyncio.Future[None]) -> None:
        try:
            self._loop.call_soon_threadsafe(_release, future)
        except RuntimeError:  # the loop was closed meanwhile: nobody waits
            log.debug("a command of a closed event loop")

    def _flow(self) -> None:
        """Wait a moment where much is held; pause what stays full, resume what was taken."""
        deadline = time.monotonic() + _POLL
        while full := [each for each in self._next if each not in self._paused and self.buffer.is_full(each)]:
            self.buffer.taken.clear()
            if not self.buffer.taken.wait(deadline - time.monotonic()):
                self._paused.update(full)
                self.consumer.pause([client_partition(each) for each in full])
                break
        low = [each for each in self._paused if self.buffer.is_low(each)]
        if low:
            self._paused.difference_update(low)
            self.consumer.resume([client_partition(each) for each in low])

    def _poll(self) -> None:
        batch: dict[TopicPartition, list[Record]] = {}
        end_offsets: dict[TopicPartition, tuple[int, int]] = {}
        for messages in self._messages():
            for message in messages:
                error = message.error()
                if error is None:
                    self._admit(message, batch)
                elif error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001 - librdkafka's own code
                    self._end(message, end_offsets)
                else:
                    self._report(error, message.topic())
        for partition, records in batch.items():
            self.buffer.put(partition, records)
        if end_offsets:
            self.buffer.ended(end_offsets)

    def _messages(self) -> Iterator[Sequence[Message]]:
        """Read the next message, and when it was looked at, what is there already: a rebalance may come in between."""
        first = self.consumer.poll(_POLL)
        if first is not None:
            yield (first,)
            yield self.consumer.consume(_BATCH, 0)

    def _admit(self, message: Message, batch: dict[TopicPartition, list[Record]]) -> None:
        topic, number, offset = message.topic(), message.partition(), message.offset()
        if topic is None or number is None or offset is None:
            return
        partition = TopicPartition(topic, number)
        known = self._next.get(partition)
        if known is None:  # taken away while this batch was read
            return
        epoch, expected = known
        if offset < expected:
            log.warning("offsets went back: the topic was truncated or made anew", partition=str(partition))
            epoch = self.buffer.restart(partition)
        self._next[partition] = (epoch, offset + 1)
        batch.setdefault(partition, []).append(record_of(message, partition, offset, epoch))

    def _end(self, message: Message, end_offsets: dict[TopicPartition, tuple[int, int]]) -> None:
        """Note a partition's end, which lies beyond transaction markers."""
        topic, number, offset = message.topic(), message.partition(), message.offset()
        if topic is not None and number is not None and offset is not None:
            partition = TopicPartition(topic, number)
            if partition in self._next:
                end_offsets[partition] = (self._next[partition][0], offset)

    def _report(self, error: KafkaError, topic: str | None) -> None:
        if error.fatal() or error.code() == KafkaError._FATAL:  # noqa: SLF001 - librdkafka's own code
            self._fail(error)
        elif error.code() in PERMANENT_FOR_A_CLIENT:
            what = f"reading {topic or ', '.join(self._topics)}"
            self.failure = error_for(error.code(), error.str(), what=what, topic=topic, group=self._group)
            self.wake()
        else:
            log.warning("kafka consumer trouble", code=error.name(), detail=error.str())

    def _fail(self, error: KafkaError) -> None:
        instance = self._options.group_instance_id
        what = f"reading {', '.join(self._topics)}" + (f" as instance {instance!r}" if instance else "")
        code = fatal_code(error.code(), error.str())
        self.failure = error_for(code, error.str(), what=what, group=self._group)
        self._closing = True
        self.wake()

    # Rebalance and commit.

    def _partitions_assigned(self, _consumer: Consumer, partitions: list[ClientPartition]) -> None:
        owned = [ours(each) for each in partitions]
        if self._options.commit_metadata:
            self.buffer.restore_metadata(owned, committed_metadata(self._settings, self._group, owned))
        epochs = self.buffer.assign(owned)
        self._next.update({partition: (epoch, 0) for partition, epoch in epochs.items()})
        log.info("partitions assigned", partitions=[str(each) for each in owned])

    def _partitions_revoked(self, _consumer: Consumer, partitions: list[ClientPartition]) -> None:
        going = [ours(each) for each in partitions]
        self.buffer.stop_handing_out(going)
        if not self._closing:  # when leaving, what is done was committed just before, with patience
            drained = threading.Event()
            self.buffer.when_drained(going, drained.set)
            if not drained.wait(self._options.drain_timeout):
                log.warning("unfinished records go to the next thread", partitions=[str(each) for each in going])
            self._commits.make(self.consumer, going)
        self._forget(going)

    def _partitions_lost(self, _consumer: Consumer, partitions: list[ClientPartition]) -> None:
        going = [ours(each) for each in partitions]
        log.warning("partitions lost", partitions=[str(each) for each in going])
        self.buffer.stop_handing_out(going)
        self._forget(going)
        self.buffer.joined = False

    def _forget(self, partitions: Iterable[TopicPartition]) -> None:
        self.buffer.forget(partitions)
        for partition in partitions:
            self._next.pop(partition, None)
            self._paused.discard(partition)

    def _commit_and_wait(self, *, leaving: bool = False) -> None:
        """Commit and poll on until it is acknowledged; not for ever, as librdkafka would without a broker."""
        self._commits.begin(self.consumer, leaving=leaving)
        deadline = time.monotonic() + _COMMIT_PATIENCE
        while self._commits.under_way and time.monotonic() < deadline:
            self._poll()

    def _answered(self, error: KafkaError | None, partitions: list[ClientPartition]) -> None:
        self._commits.answered(error, partitions)

    def _leave(self) -> None:
        self._closing = True
        try:
            self._commit_and_wait(leaving=True)
            self.consumer.close()
        except (KafkaException, RuntimeError) as error:
            log.warning("leaving the group failed, its session will run out", detail=str(error))
        self._forget(list(self._next))
        self.buffer.joined = False
        with self._commands_lock:
            self._gone = True
        while not self._commands.empty():
            self._answer(self._commands.get()[1])
        self.wake()


def _release(future: asyncio.Future[None]) -> None:
    if not future.done():  # it is, if the loop is being closed
        future.set_result(None)
