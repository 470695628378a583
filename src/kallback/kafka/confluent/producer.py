"""A producer on librdkafka: one client and one polling thread for any number of event loops.

Ownership: `send` runs on the caller's loop and puts records into librdkafka's queue; the polling thread is
the only one that polls, so every acknowledgement arrives there. Per poll it hands each loop its acknowledgements
with one `call_soon_threadsafe`: that, and not the sending, is what costs.

Order: records reach librdkafka in the order in which `send` was called on a loop. When its queue is full the
senders of a loop wait in line, so that no record overtakes another.

Cancellation: only the waiting ends; the record may still be written.

After an error from which librdkafka does not recover ("fatal": the idempotent sequence is broken, or the user may write
to no topic), what is in flight fails with it, and the next `send` makes a new client.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import threading
import time
from collections import defaultdict
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from kallback.kafka.confluent.client import (
    ClientErrors,
    Value,
    build,
    confluent_config,
    failure_of,
    first_contact,
    in_thread,
    log,
)
from kallback.kafka.confluent.login import LoginRenewal, prepare_login
from kallback.kafka.confluent.partition_counts import PartitionCounts
from kallback.kafka.confluent.unacknowledged import Unacknowledged
from kallback.kafka.errors import DENIED, error_for
from kallback.kafka.login.token_source import uses_tokens
from kallback.kafka.lone_sends import LoneSends
from kallback.kafka.producer import ProducerOptions
from kallback.kafka.records import OutgoingRecord, Placement, Position
from kallback.lifecycle import LogThrottle, StartStop
from kallback.protocol.errors import ConfigurationError, KafkaUnavailableError, KallbackError, RecordTooLargeError

from confluent_kafka import KafkaError, KafkaException, Message, Producer  # isort: skip - the check comes first

if TYPE_CHECKING:
    from kallback.settings import KafkaSettings

Ack = tuple["asyncio.Future[Position]", OutgoingRecord, Exception | None, Message]

_POLL: Final = 0.1
_QUIET_POLL: Final = 0.2  # while nothing is on its way: a stop waits for its end; acknowledgements end a poll
_BY_KEY: Final = -1  # librdkafka's partitioner decides
_QUEUE_FULL_PAUSE: Final = 0.005
_CLOSE_TIMEOUT_S: Final = 5.0
_PATIENCE_S: Final = 4.0
"""Without any acknowledgement, after which a client whose files changed leaves its records to the next one."""
_PURGED: Final = frozenset({KafkaError._PURGE_QUEUE, KafkaError._PURGE_INFLIGHT})  # noqa: SLF001 - librdkafka's own codes
_FATAL: Final = KafkaError._FATAL  # noqa: SLF001 - as above
"""The client has failed for good; this code does not say why, and the polling thread hears it."""
_BATCH_BYTES: Final = 1_000_000
_BATCH_RECORDS: Final = 10_000
"""librdkafka's defaults: a little less than a topic takes by default."""
_QUEUE_BYTES: Final = 16 * 1024 * 1024
"""Keys, values and headers on their way. librdkafka would take 1 GiB of values, and headers without a bound."""


class _Client:
    """One librdkafka producer, its polling thread, and the acknowledgements on their way to the loops."""

    def __init__(self, settings: KafkaSettings, options: ProducerOptions, fatal_log: LogThrottle) -> None:
        self._settings = settings
        self._fatal_log = fatal_log
        self._fatal: KafkaError | None = None
        self.errors = ClientErrors(settings)
        own: dict[str, Value] = {
            "acks": "all",
            "enable.idempotence": True,
            "compression.type": options.compression or "none",
            "linger.ms": round(options.linger * 1000),
            "batch.size": _BATCH_BYTES,
            "batch.num.messages": _BATCH_RECORDS if options.batches else 1,
            "message.max.bytes": settings.max_request_bytes,
            "message.timeout.ms": int(settings.delivery_timeout * 1000),
            "queue.buffering.max.kbytes": (_QUEUE_BYTES + settings.max_request_bytes) // 1024,
            "topic.metadata.propagation.max.ms": 5000,  # how long a send to an unknown topic takes to fail
        }
        self._renewal = LoginRenewal(settings)
        self._own = own
        self.producer = self._made()
        self._acks: defaultdict[asyncio.AbstractEventLoop, list[Ack]] = defaultdict(list)
        self._unacknowledged = Unacknowledged(_QUEUE_BYTES)
        self._stopping = False
        self._abandoned = threading.Event()
        self._thread = threading.Thread(target=self._run_guarded, name="kallback-producer", daemon=True)
        self._thread.start()

    def enqueue(self, record: OutgoingRecord, future: asyncio.Future[Position], partition: int) -> None:
        """Put a record into the queue; raises BufferError while it takes none. One that is empty takes any record.

        Call it on the future's loop.
        """
        self._unacknowledged.add(record, future, partition)
        try:
            self._produce(self.producer, record, future, partition)
        except KafkaException as error:
            if error.args[0].code() != _FATAL:
                self._unacknowledged.remove(future)
                raise
            # The thread is about to hear the cause, and fails with it what waits.
        except BaseException:
            self._unacknowledged.remove(future)
            raise
        if self.errors.fatal:  # the thread may have ended since this client was chosen, and failed what waited then
            self._unacknowledged.remove(future)
            _fail_all([(future, record.topic)], self._fatal)

    def _produce(
        self, producer: Producer, record: OutgoingRecord, future: asyncio.Future[Position], partition: int
    ) -> None:
        loop = future.get_loop()

        def on_delivery(error: KafkaError | None, message: Message) -> None:
            if self._unacknowledged.closed and error is not None and error.code() in _PURGED:
                return  # the next client sends it
            if error is not None and error.code() == _FATAL:
                return  # as in `enqueue`
            self._unacknowledged.remove(future)
            failure = None if error is None else _failure(error, record, self._settings)
            self._acks[loop].append((future, record, failure, message))

        producer.produce(
            record.topic,
            record.value,
            record.key,
            partition,
            headers=list(record.headers) if record.headers else None,
            on_delivery=on_delivery,
        )

    def close(self, abandoned: threading.Event) -> None:
        """Flush and end the thread; blocks for the delivery timeout and a little more at most.

        Args:
            abandoned: set it, and what is not acknowledged is dropped within two seconds.
        """
        self._abandoned = abandoned
        self._stopping = True
        timeout = self._settings.delivery_timeout + _CLOSE_TIMEOUT_S
        self._thread.join(timeout)
        if self._thread.is_alive():
            log.error("the producer thread does not end, its records may be lost", seconds=timeout)

    def _run_guarded(self) -> None:
        """Whatever ends the thread, no sender waits for an acknowledgement that cannot come."""
        try:
            self._run()
        except KafkaException as error:  # how librdkafka's binding reports a fatal error
            self._fatal = error.args[0]
            self._fatal_log.warning(
                "the Kafka producer failed, the next send makes a new one", kind="producer-fatal", detail=str(error)
            )
        except BaseException as error:  # noqa: BLE001 - also what a callback of librdkafka's binding raises
            log.error("the producer thread ended unexpectedly", reason=repr(error))
        finally:
            self.errors.fatal = True  # the next send makes a new client
            self._abandon()

    def _run(self) -> None:
        while not self._stopping and not self.errors.fatal:
            self.producer.poll(_POLL if len(self._unacknowledged) else _QUIET_POLL)
            self._deliver()
            if (fresh := self._renewal.renewed(self.producer, self._made, "producer")) is not None:
                self._replace(fresh)
        self._drain(0 if self.errors.fatal else self._settings.delivery_timeout)

    def _made(self) -> Producer:
        config = confluent_config(self._settings, self._own)
        return build(lambda it: Producer(it | {"error_cb": self.errors}), config)

    def _replace(self, fresh: Producer) -> None:
        """Go on with a new client once all records of the present one are acknowledged: no record overtakes another.

        Senders wait in line meanwhile, as at a full queue. A client that gets no acknowledgement, because its own
        certificate has expired or it does not trust the brokers, leaves its records to the new one.
        """
        self._unacknowledged.closed = True
        self._drain(self._settings.delivery_timeout, patience=_PATIENCE_S)
        if not (self.errors.fatal or self._stopping):
            self.producer = fresh
            self.errors.new_client()
            self._send_again()
        self._unacknowledged.closed = False

    def _send_again(self) -> None:
        """Send what the former client left; not what nobody waits for, or has waited for long."""
        too_old = time.monotonic() - self._settings.delivery_timeout
        for future, sent in self._unacknowledged.each():
            is_sent = not future.done() and sent.since > too_old
            if is_sent:
                try:
                    self._produce(self.producer, sent.record, future, sent.partition)
                except (KafkaException, BufferError):
                    is_sent = False
            if not is_sent:
                self._unacknowledged.remove(future)
                _fail_soon(future.get_loop(), [(future, sent.record.topic)], self._fatal)

    def _drain(self, seconds: float, *, patience: float = math.inf) -> None:
        """Wait for what is on its way; drop what is left after that time, or when nothing moved for so long."""
        deadline, left, moved = time.monotonic() + seconds, -1, math.inf
        while self._is_on_its_way() and not self._abandoned.is_set():
            now = time.monotonic()
            if len(self._unacknowledged) != left:
                left, moved = len(self._unacknowledged), now
            if now >= deadline or now - moved > patience:
                break
            self.producer.flush(_POLL)
            self._deliver()
        self.producer.purge()
        self.producer.flush(1.0)
        self._deliver()

    def _is_on_its_way(self) -> bool:
        """Whether the client has records, or is about to get one from a sender that was not told to wait in line."""
        return len(self.producer) > 0 or (self._unacknowledged.closed and len(self._unacknowledged) > 0)

    def _abandon(self) -> None:
        by_loop: defaultdict[asyncio.AbstractEventLoop, list[_Failing]] = defaultdict(list)
        for future, sent in self._unacknowledged.each():
            self._unacknowledged.remove(future)
            by_loop[future.get_loop()].append((future, sent.record.topic))
        for loop, futures in by_loop.items():
            _fail_soon(loop, futures, self._fatal)

    def _deliver(self) -> None:
        if not self._acks:
            return
        acks, self._acks = self._acks, defaultdict(list)
        for loop, batch in acks.items():
            try:
                loop.call_soon_threadsafe(_settle, batch)
            except RuntimeError:  # the loop was closed: nothing waits any more
                log.debug("acknowledgements for a closed event loop", count=len(batch))


class ConfluentProducer(StartStop):
    """A `Producer` that several event loops may use at once; it connects at the first `send` or `start`.

    `KafkaSettings.extra` wins over the options.
    """

    def __init__(self, settings: KafkaSettings, options: ProducerOptions | None = None) -> None:
        self._settings = settings
        self._options = options or ProducerOptions()
        self._lock = threading.Lock()
        self._client: _Client | None = None
        self._fatal_log = LogThrottle(log)
        self._stopped = False
        self._waiting: dict[asyncio.AbstractEventLoop, int] = {}  # senders in line; loops without one are not kept
        self._gates: dict[asyncio.AbstractEventLoop, asyncio.Lock] = {}
        self._partition_counts = PartitionCounts(lambda: self._current().producer)
        self._lone = LoneSends(lambda: ConfluentProducer(settings, replace(self._options, batches=False)))

    async def start(self) -> None:
        """Connect."""
        await prepare_login(self._settings)
        client = self._current()
        client.errors.connecting = True  # its thread polls already
        try:
            await in_thread(
                lambda abandoned: first_contact(client.producer, self._settings, client.errors, abandoned=abandoned)
            )
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Flush and close. Cancelling it ends the flush: the end of the process waits for threads of the loop."""
        with self._lock:
            self._stopped = True
            client, self._client = self._client, None
        try:
            if client is not None:
                await in_thread(client.close)
        finally:
            await self._lone.stop()

    async def send(self, record: OutgoingRecord) -> Position:
        """Send one record and wait for its acknowledgement."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Position] = loop.create_future()
        partition = _BY_KEY if record.placement is None else await self._partition_of(record, record.placement)
        try:
            if self._waiting.get(loop) or self._needs_token or not self._enqueued(record, future, partition):
                await self._wait_in_line(loop, record, future, partition)
        except KafkaException as error:
            raise _failure(error.args[0], record, self._settings) from None
        try:
            return await future
        except RecordTooLargeError:
            if self._options.batches and record.size < _BATCH_BYTES:  # larger ones are in no batch with others
                return await self._lone.send(record)
            raise
        except KallbackError:
            if partition != _BY_KEY:
                self._partition_counts.forget(record.topic)
            raise

    async def _partition_of(self, record: OutgoingRecord, placement: Placement) -> int:
        if self._needs_token:
            await prepare_login(self._settings)
        count = await self._partition_counts.of(record.topic)
        return _BY_KEY if count is None else placement.partition_of(count)

    async def _wait_in_line(
        self, loop: asyncio.AbstractEventLoop, record: OutgoingRecord, future: asyncio.Future[Position], partition: int
    ) -> None:
        self._waiting[loop] = self._waiting.get(loop, 0) + 1
        try:
            async with self._gates.setdefault(loop, asyncio.Lock()):
                if self._needs_token:
                    await prepare_login(self._settings)
                while not self._enqueued(record, future, partition):  # noqa: ASYNC110 - librdkafka has no event for it
                    await asyncio.sleep(_QUEUE_FULL_PAUSE)
        finally:
            self._waiting[loop] -= 1
            if not self._waiting[loop]:
                self._gates.pop(loop, None)
                del self._waiting[loop]

    @property
    def _needs_token(self) -> bool:
        """Whether the client is still to be made, and an access token awaited for it."""
        return self._client is None and uses_tokens(self._settings)

    def _enqueued(self, record: OutgoingRecord, future: asyncio.Future[Position], partition: int) -> bool:
        try:
            self._current().enqueue(record, future, partition)
        except BufferError:
            return False
        return True

    def _current(self) -> _Client:
        """Return the client, making it where there is none or where it failed for good."""
        client = self._client
        if client is not None and not client.errors.fatal:
            return client
        with self._lock:
            if self._stopped:
                raise KafkaUnavailableError("this producer is stopped; make a new one")
            if self._client is None or self._client.errors.fatal:
                self._client = _Client(self._settings, self._options, self._fatal_log)
            return self._client


_Failing = tuple["asyncio.Future[Position]", str]
"""What waits for an acknowledgement that does not come, and the topic."""


def _fail_soon(loop: asyncio.AbstractEventLoop, failing: list[_Failing], fatal: KafkaError | None) -> None:
    with contextlib.suppress(RuntimeError):  # the loop was closed: nothing waits any more
        loop.call_soon_threadsafe(_fail_all, failing, fatal)


def _fail_all(failing: list[_Failing], fatal: KafkaError | None) -> None:
    for future, topic in failing:
        if future.done():
            continue
        if fatal is not None and fatal.code() in DENIED:
            future.set_exception(error_for(fatal.code(), fatal.str(), what=f"sending to {topic!r}", topic=topic))
        else:
            future.set_exception(KafkaUnavailableError("the Kafka producer ended before an acknowledgement; try again"))


def _settle(batch: list[Ack]) -> None:
    for future, record, failure, message in batch:
        if future.done():  # cancelled: nothing waits
            continue
        if failure is not None:
            future.set_exception(failure)
            continue
        partition, offset = message.partition(), message.offset()
        if partition is None or offset is None:
            future.set_exception(KafkaUnavailableError(f"no position came back for {record!r}; try again"))
        else:
            future.set_result(Position(record.topic, partition, offset))


def _failure(error: KafkaError, record: OutgoingRecord, settings: KafkaSettings) -> Exception:
    what = f"sending to {record.topic!r}"
    if error.code() == KafkaError._INVALID_ARG:  # noqa: SLF001 - librdkafka's own codes
        return ConfigurationError(f"{what} failed: Kafka allows no such topic name or header ({error.str()})")
    return failure_of(error, settings, what=what, topic=record.topic)
