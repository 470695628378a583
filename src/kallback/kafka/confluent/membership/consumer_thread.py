"""The thread that owns a librdkafka consumer: it alone makes calls into it, rebalance callbacks included.

`confluent/consumer.py` explains threads, back-pressure and rebalances. Whatever ends the thread reaches the caller of
`fetch` as a failure, and every command is answered, also those that come too late.
"""

from __future__ import annotations

import asyncio
import threading
import time
from concurrent.futures import wait
from functools import partial
from typing import TYPE_CHECKING, Final

from kallback.kafka.confluent.batch_search import BAD_BATCH, BatchSearch
from kallback.kafka.confluent.client import ClientErrors, build, failure_of, log, may_log_in_again
from kallback.kafka.confluent.login import LoginRenewal
from kallback.kafka.confluent.membership.commands import Command, Commands
from kallback.kafka.confluent.membership.commits import Commits
from kallback.kafka.confluent.membership.committed_offsets import partition_starts
from kallback.kafka.confluent.membership.group_member import consumer_config, ours
from kallback.kafka.confluent.membership.member_topics import MemberTopics
from kallback.kafka.confluent.reading import PartitionReading
from kallback.kafka.consumer import ConsumerOptions
from kallback.kafka.errors import (
    MISSING_TOPIC,
    PERMANENT_FOR_A_CLIENT,
    damaged_batch,
    error_for,
    fatal_failure,
)
from kallback.kafka.group_status import GroupStatus
from kallback.kafka.offsets.followed_topics import report_first_reads
from kallback.kafka.offsets.membership_loss import MembershipLoss
from kallback.kafka.offsets.metadata_buffer import new_record_buffer
from kallback.kafka.records import TopicPartition
from kallback.kafka.transaction_report import ProducerReport
from kallback.lifecycle import LogThrottle, Supervisor, daemon_call
from kallback.protocol.errors import KafkaUnavailableError, KallbackError

from confluent_kafka import Consumer, KafkaError, KafkaException, Message  # isort: skip - the check comes first
from confluent_kafka import TopicPartition as ClientPartition  # isort: skip

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from concurrent.futures import Future

    from kallback.settings import KafkaSettings

_COMMIT_TIMEOUT_S: Final = 5.0
_SHORT_POLL_S: Final = 0.002
"""Of the polls while commits are asked for: a command waits for the end of a poll."""
_DRAIN_LOOK_S: Final = 0.02
"""How often it is looked for commands while a partition drains."""
_CLOSE_TIMEOUT_S: Final = 10.0
"""For leaving the group and closing the client. With commits that Kafka has not answered, librdkafka would wait for a
session timeout."""


class ConsumerThread:
    """Makes every call into one librdkafka consumer."""

    def __init__(self, settings: KafkaSettings, topics: Sequence[str], group: str, options: ConsumerOptions) -> None:
        self.failure: KallbackError | None = None
        self.errors = ClientErrors(settings)
        self._renewal = LoginRenewal(settings)
        self._settings = settings
        self._topics = list(topics)
        self._group = group
        self._options = options
        self.consumer = self._made()
        self._loop = asyncio.get_running_loop()
        self._supervisor = Supervisor("kallback-consumer", self._ended_unexpectedly, log)
        self._throttle = LogThrottle(log)
        self._commands = Commands(self._loop)
        self._closing = False
        self._arrived = asyncio.Event()
        self.buffer = new_record_buffer(options, self.wake, time.monotonic)
        search = None if options.stop_at_damaged_batch else BatchSearch(settings)
        self._reading = PartitionReading(
            self.consumer, self.buffer, self.errors, self._report, search, ProducerReport(settings)
        )
        self._commits = Commits(self.buffer, self.errors, self._topics[0], self._denied)
        self._member_topics = MemberTopics(settings, self._topics, self.buffer, self._reading, self._commits)
        self._last_poll = time.monotonic()
        self._loss = MembershipLoss(time.monotonic)

    # The loop's side.

    def start(self) -> None:
        """Start the thread."""
        self._supervisor.run_thread("thread", self._run, forever=False)

    async def stop(self) -> None:
        """Commit, leave the group and end the thread. Without an answer within a bound the thread is left behind."""
        timeout = 2 * _COMMIT_TIMEOUT_S + self._options.drain_timeout + _CLOSE_TIMEOUT_S
        try:
            async with asyncio.timeout(timeout):
                await self.command("stop")
        except TimeoutError:
            log.error("the consumer thread does not answer, its group session will expire", seconds=timeout)
        await self._supervisor.stop(1.0)

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
        except RuntimeError:  # the loop was closed without a stop: leave the group, nothing takes the records
            self._closing = True

    async def command(self, what: Command) -> None:
        """Have the thread do something between two polls, and wait for it."""
        await self._commands.ask(
            what, self.buffer.taken.set
        )  # a thread that waits for the buffer looks at its commands

    def group_status(self) -> GroupStatus:
        """The status of the member, from any thread."""
        status = self.buffer.group_status(self._reading.end_offsets, self._last_poll, stalled=self._reading.stalled)
        return self._member_topics.followed.status(status, self._reading.transactions.noticed)

    def raise_failure(self) -> None:
        """Raise what went wrong: once if the consumer goes on, each time if it cannot."""
        failure = self.failure
        if failure is not None:
            if not self._closing:
                self.failure = None
            raise failure

    def _ended_unexpectedly(self, error: Exception) -> None:
        self._closing = True
        if self.failure is None:
            what = f"the Kafka consumer of {', '.join(self._topics)} ended ({error!r})"
            self.failure = KafkaUnavailableError(f"{what}; start a new one")
        self._arrived.set()

    # The thread's side.

    def _run(self) -> None:
        """Poll until told to stop; whatever happens, leave the group and answer every command."""
        try:
            self._join()
            next_commit = time.monotonic() + self._options.commit_interval
            while not self._closing:
                self._renew()
                self._reading.control_flow(lambda: self._commands.none_waits)
                self._reading.step_over_damaged()
                self._run_commands()
                self._reading.poll(self._poll_s(time.monotonic()))
                self._last_poll = now = time.monotonic()
                self._answer_commits(now)
                if now >= next_commit and not self._commits.under_way:
                    self._commits.begin(self.consumer)
                    next_commit = time.monotonic() + self._options.commit_interval
                if unread := self._reading.look(now):
                    self._give_up(unread)
                if returned := self._member_topics.look(self.consumer, now):
                    self._give_up(returned)
        except KafkaException as error:
            self._fail(error.args[0])
        finally:
            self._leave()

    def _made(self) -> Consumer:
        config = consumer_config(self._settings, self._group, self._options)
        return build(lambda it: Consumer(it | {"error_cb": self.errors, "on_commit": self._committed_or_not}), config)

    def _join(self) -> None:
        self.consumer.subscribe(
            self._topics,
            on_assign=self._partitions_assigned,
            on_revoke=self._partitions_revoked,
            on_lost=self._partitions_lost,
        )

    def _renew(self) -> None:
        """If files have changed, leave the group as at a rebalance, and join it with a new client."""
        fresh = self._renewal.renewed(self.consumer, self._made, "consumer")
        if fresh is None:
            return
        self._leave_group()
        self._reading.forget(self._reading.owned)
        self.buffer.joined = False
        self._commits.under_way = 0  # the client that would hear of them is closed
        self.consumer = fresh
        self._reading.use(fresh)
        self.errors.new_client()
        self._join()

    def _run_commands(self) -> None:
        if self._commands.take():
            self._commits.begin(self.consumer)
        self._closing = self._closing or self._commands.stop_asked

    def _poll_s(self, now: float) -> float:
        return _SHORT_POLL_S if self._commands.may_follow(now) else self._reading.patience(now)

    def _answer_commits(self, now: float) -> None:
        self._commands.answer_commits(under_way=self._commits.under_way > 0, now=now)

    def _report(self, error: KafkaError, message: Message) -> None:
        topic = message.topic()
        if error.fatal() or error.code() == KafkaError._FATAL:  # noqa: SLF001 - librdkafka's own code
            self._fail(error)
        elif error.code() in BAD_BATCH:
            self.failure = damaged_batch(f"{topic}[{message.partition()}]@{message.offset()}", error.str())
            self._closing = True
            self.wake()
        elif error.code() in MISSING_TOPIC:
            self._member_topics.not_found(topic, message.partition())
        elif error.code() in PERMANENT_FOR_A_CLIENT and not may_log_in_again(error, self._settings):
            what = f"reading {topic or ', '.join(self._topics)}"
            self.failure = error_for(error.code(), error.str(), what=what, topic=topic, group=self._group)
            self.wake()
        else:
            self._throttle.warning("Kafka consumer error", kind=error.name(), reason=error.str())

    def _denied(self, error: KafkaError) -> None:
        what = f"committing for {', '.join(self._topics)}"
        self.failure = error_for(error.code(), error.str(), what=what, group=self._group)
        self.wake()

    def _give_up(self, unread: Collection[TopicPartition]) -> None:
        """End because the client has stopped reading: librdkafka does, seldom, when a topic is created anew."""
        names = ", ".join(map(str, sorted(unread)))
        self.failure = KafkaUnavailableError(f"the Kafka client has stopped reading {names}: start a new consumer")
        self._closing = True
        self.wake()

    def _fail(self, error: KafkaError) -> None:
        instance = self._options.group_instance_id
        what = f"reading {', '.join(self._topics)}" + (f" as instance {instance!r}" if instance else "")
        if may_log_in_again(error, self._settings):
            self.failure = failure_of(error, self._settings, what=what)
        else:
            after_loss = self._loss.explains_fencing()
            self.failure = fatal_failure(error.code(), error.str(), what=what, group=self._group, after_loss=after_loss)
        self._closing = True
        self.wake()

    # Rebalance and commit.

    def _partitions_assigned(self, consumer: Consumer, partitions: list[ClientPartition]) -> None:
        if consumer is not self.consumer:
            return
        owned = [ours(each) for each in partitions]
        starts = partition_starts(self._settings, self._group, owned, self._options)
        report_first_reads(self._group, starts)
        self.buffer.restore(starts)
        epochs = self.buffer.assign(owned)
        self._reading.assign(epochs)
        self._member_topics.assigned(owned, starts)
        self._loss.assigned()
        log.info("partitions assigned", partitions=[str(each) for each in owned])

    def _partitions_revoked(self, consumer: Consumer, partitions: list[ClientPartition]) -> None:
        if consumer is not self.consumer:  # left behind when another one took its place
            return
        going = [ours(each) for each in partitions]
        self.buffer.stop_handing_out(going)
        if not self._closing:  # when leaving, what is done was committed just before, with patience
            self._member_topics.look_before_leaving(going)
            if not self._drained(consumer, going):
                log.warning("unfinished records go to the next owner", partitions=[str(each) for each in going])
            if consumer is not self.consumer:
                return
            self._commits.revoke(consumer, going)
        self._member_topics.followed.revoked(going)
        self._reading.forget(going)

    def _drained(self, consumer: Consumer, going: Collection[TopicPartition]) -> bool:
        """Wait for unfinished records, unless a stop is asked for: who asks has waited for them.

        Work may wait for a commit before it begins: it is made meanwhile.
        """
        drained = threading.Event()
        self.buffer.when_drained(going, drained.set)
        asked = not self._commands.none_waits
        commit: Future[list[ClientPartition]] | None = None
        deadline = time.monotonic() + self._options.drain_timeout
        while not drained.wait(min(_DRAIN_LOOK_S, max(0.0, deadline - time.monotonic()))):
            asked = self._commands.take() or asked
            if self._commands.stop_asked or time.monotonic() >= deadline:
                return False
            if commit is not None and commit.done():
                self._commits.take_apart(commit)
                commit = None
                if not asked:  # since it began
                    self._commands.answer_commits(under_way=False, now=time.monotonic())
            if commit is None and asked:
                commit, asked = self._commits.apart(consumer), False
        return True

    def _partitions_lost(self, consumer: Consumer, partitions: list[ClientPartition]) -> None:
        if consumer is not self.consumer:
            return
        going = [ours(each) for each in partitions]
        self._loss.session_ended()
        log.warning("partitions lost", partitions=[str(each) for each in going])
        self._member_topics.followed.revoked(going)
        self.buffer.stop_handing_out(going)
        self._reading.forget(going)
        self.buffer.joined = False

    def _commit_and_wait(self, *, leaving: bool = False) -> None:
        """Commit and poll on until it is acknowledged; not for ever, as librdkafka would without a broker."""
        self._commits.begin(self.consumer, leaving=leaving)
        deadline = time.monotonic() + _COMMIT_TIMEOUT_S
        while self._commits.under_way and time.monotonic() < deadline:
            self._reading.poll(_SHORT_POLL_S)

    def _committed_or_not(self, error: KafkaError | None, partitions: list[ClientPartition]) -> None:
        self._commits.answered(error, partitions)
        self._answer_commits(time.monotonic())  # at once: the poll that has brought this goes on

    def _leave(self) -> None:
        self._closing = True
        try:
            self._close()
        finally:
            self.buffer.joined = False
            self._commands.close()
            self.wake()

    def _close(self) -> None:
        try:
            self._leave_group()
        finally:
            self._member_topics.close()
            self.buffer.forget(self._reading.owned)

    def _leave_group(self) -> None:
        """Commit what is done and close the client."""
        try:
            self._commit_and_wait(leaving=True)
        except (KafkaException, RuntimeError) as error:
            log.warning("the last commit failed, its records will be redelivered", reason=str(error))
        finally:
            try:
                self._close_client()
            except (KafkaException, RuntimeError, TimeoutError) as error:
                log.warning("leaving the group failed, its session will expire", reason=str(error))

    def _close_client(self) -> None:
        """Close the client, which revokes its partitions; one that waits for Kafka for too long is left behind.

        No other call is made meanwhile, so the callbacks are alone as in the consumer thread.
        """
        timeout = _CLOSE_TIMEOUT_S + (0.0 if self._closing else self._options.drain_timeout)
        closing = daemon_call(partial(_close_consumer, self.consumer, self._commits), "kallback-consumer-close")
        if not wait([closing], timeout).done:
            raise TimeoutError(f"Kafka has not answered for {timeout:g} s")
        closing.result()


def _close_consumer(consumer: Consumer, commits: Commits) -> None:
    commits.wait_apart()
    consumer.close()
