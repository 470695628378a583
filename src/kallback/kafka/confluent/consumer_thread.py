"""The thread that owns a librdkafka consumer: it alone makes calls into it, rebalance callbacks included.

The story of threads, back-pressure and rebalance is told in `confluent_consumer.py`.
"""

from __future__ import annotations

import asyncio
import queue
import threading
import time
from typing import TYPE_CHECKING, Final, Literal

from kallback.kafka.confluent.client import Troubles, build, log
from kallback.kafka.confluent.commits import Commits
from kallback.kafka.confluent.committed_offsets import committed_notes
from kallback.kafka.confluent.group_member import client_partition, consumer_config, ours, record_of
from kallback.kafka.confluent.watermarks import Ends
from kallback.kafka.consumer import ConsumerOptions
from kallback.kafka.errors import PERMANENT_FOR_A_CLIENT, error_for, fatal_code
from kallback.kafka.group_status import Standing
from kallback.kafka.offsets.annotated_buffer import new_hand_over
from kallback.kafka.records import Record, TopicPartition
from kallback.protocol.errors import KallbackError

from confluent_kafka import Consumer, KafkaError, KafkaException, Message  # isort: skip - the check comes first
from confluent_kafka import TopicPartition as ClientPartition  # isort: skip

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from kallback.settings import KafkaSettings

Order = Literal["commit", "stop"]

_POLL: Final = 0.05
_BATCH: Final = 500
_COMMIT_PATIENCE: Final = 5.0


class Owner(threading.Thread):
    """The thread that makes every call into librdkafka."""

    def __init__(self, settings: KafkaSettings, topics: Sequence[str], group: str, options: ConsumerOptions) -> None:
        super().__init__(name="kallback-consumer", daemon=True)
        self.failure: KallbackError | None = None
        self.troubles = Troubles(settings.client_id)
        config = consumer_config(settings, group, options)
        self.consumer = build(
            lambda it: Consumer(it | {"error_cb": self.troubles, "on_commit": self._answered}), config
        )
        self._orders: queue.SimpleQueue[tuple[Order, asyncio.Future[None]]] = queue.SimpleQueue()
        self._orders_lock = threading.Lock()
        self._gone = False
        self._loop = asyncio.get_running_loop()
        self._arrived = asyncio.Event()
        self.hand_over = new_hand_over(options, self.wake)
        self._topics = list(topics)
        self._options = options
        self._next: dict[TopicPartition, tuple[int, int]] = {}
        self._paused: set[TopicPartition] = set()
        self._closing = False
        self._commits = Commits(self.hand_over, self.troubles, self._topics[0])
        self._ends = Ends(self.consumer)
        self._settings = settings
        self._group = group
        self._polled = time.monotonic()

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

    async def order(self, what: Order) -> None:
        """Have the thread do something between two polls, and wait for it."""
        future: asyncio.Future[None] = self._loop.create_future()
        with self._orders_lock:
            if self._gone:
                return
            self._orders.put((what, future))
        await asyncio.shield(future)

    def standing(self) -> Standing:
        """How the member stands, from any thread."""
        return self.hand_over.standing(self._ends.known, self._polled)

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
            self.consumer.subscribe(self._topics, on_assign=self._assigned, on_revoke=self._revoked, on_lost=self._lost)
            next_commit = time.monotonic() + self._options.commit_interval
            while not self._closing:
                self._obey()
                self._flow()
                self._poll()
                self._polled = now = time.monotonic()
                if now >= next_commit and not self._commits.under_way:
                    self._commits.begin(self.consumer)
                    next_commit = time.monotonic() + self._options.commit_interval
                self._ends.look(now, self._next, () if self.troubles.all_down else self._paused)
        except KafkaException as error:
            self._fail(error.args[0])
        finally:
            self._leave()

    def _obey(self) -> None:
        while not self._closing:
            try:
                what, future = self._orders.get_nowait()
            except queue.Empty:
                return
            if what == "stop":
                self._closing = True
                self._orders.put((what, future))  # answered when the group is left
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
        while full := [each for each in self._next if each not in self._paused and self.hand_over.is_full(each)]:
            self.hand_over.taken.clear()
            if not self.hand_over.taken.wait(deadline - time.monotonic()):
                self._paused.update(full)
                self.consumer.pause([client_partition(each) for each in full])
                break
        low = [each for each in self._paused if self.hand_over.is_low(each)]
        if low:
            self._paused.difference_update(low)
            self.consumer.resume([client_partition(each) for each in low])

    def _poll(self) -> None:
        batch: dict[TopicPartition, list[Record]] = {}
        ended: dict[TopicPartition, tuple[int, int]] = {}
        for messages in self._messages():
            for message in messages:
                error = message.error()
                if error is None:
                    self._admit(message, batch)
                elif error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001 - librdkafka's own code
                    self._end(message, ended)
                else:
                    self._note(error, message.topic())
        for partition, records in batch.items():
            self.hand_over.put(partition, records)
        if ended:
            self.hand_over.ended(ended)

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
            epoch = self.hand_over.begin_anew(partition)
        self._next[partition] = (epoch, offset + 1)
        batch.setdefault(partition, []).append(record_of(message, partition, offset, epoch))

    def _end(self, message: Message, ended: dict[TopicPartition, tuple[int, int]]) -> None:
        """Note a partition's end, which lies beyond transaction markers."""
        topic, number, offset = message.topic(), message.partition(), message.offset()
        if topic is not None and number is not None and offset is not None:
            partition = TopicPartition(topic, number)
            if partition in self._next:
                ended[partition] = (self._next[partition][0], offset)

    def _note(self, error: KafkaError, topic: str | None) -> None:
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

    def _assigned(self, _consumer: Consumer, partitions: list[ClientPartition]) -> None:
        owned = [ours(each) for each in partitions]
        if self._options.notes:
            self.hand_over.open_books(owned, committed_notes(self._settings, self._group, owned))
        epochs = self.hand_over.assign(owned)
        self._next.update({partition: (epoch, 0) for partition, epoch in epochs.items()})
        log.info("partitions assigned", partitions=[str(each) for each in owned])

    def _revoked(self, _consumer: Consumer, partitions: list[ClientPartition]) -> None:
        going = [ours(each) for each in partitions]
        self.hand_over.stop_handing_out(going)
        if not self._closing:  # when leaving, what is done was committed just before, with patience
            drained = threading.Event()
            self.hand_over.when_drained(going, drained.set)
            if not drained.wait(self._options.drain_timeout):
                log.warning("unfinished records go to the next owner", partitions=[str(each) for each in going])
            self._commits.make(self.consumer, going)
        self._forget(going)

    def _lost(self, _consumer: Consumer, partitions: list[ClientPartition]) -> None:
        going = [ours(each) for each in partitions]
        log.warning("partitions lost", partitions=[str(each) for each in going])
        self.hand_over.stop_handing_out(going)
        self._forget(going)
        self.hand_over.joined = False

    def _forget(self, partitions: Iterable[TopicPartition]) -> None:
        self.hand_over.forget(partitions)
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
        self.hand_over.joined = False
        with self._orders_lock:
            self._gone = True
        while not self._orders.empty():
            self._answer(self._orders.get()[1])
        self.wake()


def _release(future: asyncio.Future[None]) -> None:
    if not future.done():  # it is, if the loop is being closed
        future.set_result(None)
