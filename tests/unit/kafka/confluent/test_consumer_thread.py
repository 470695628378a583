"""What the consumer thread may do inside librdkafka's callbacks."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
import time
from collections.abc import Iterator
from typing import Any, NoReturn

import pytest
from confluent_kafka import KafkaError, KafkaException
from confluent_kafka import TopicPartition as ClientPartition
from tests.unit.kafka.confluent.logins import PASSWORD, TOKENS

from kallback.kafka import ConfluentConsumer, ConsumerOptions, Record, TopicPartition
from kallback.kafka.confluent.client import build
from kallback.kafka.confluent.membership import consumer_thread
from kallback.kafka.confluent.membership.consumer_thread import ConsumerThread
from kallback.kafka.offsets.partition_metadata import Commit
from kallback.kafka.offsets.topic_changes import TopicFacts, TopicState
from kallback.protocol.errors import AccessDeniedError, KafkaUnavailableError
from kallback.settings import KafkaSecurity, KafkaSettings

PARTITION = TopicPartition("results", 0)


class Missing:
    """What librdkafka hands out in place of a record of a topic, or of a partition, that it does not find."""

    def __init__(self, partition: int | None) -> None:
        self._partition = partition

    def topic(self) -> str:
        """The topic."""
        return "results"

    def partition(self) -> int | None:
        """The partition, if it is one."""
        return self._partition


class Recorder:
    """A librdkafka consumer that notes what it is asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.committed_offsets: list[int] = []

    def commit(self, *, offsets: list[ClientPartition], asynchronous: bool) -> list[ClientPartition]:
        """Accept positions."""
        self.asked.append("background commit" if asynchronous else "commit")
        self.committed_offsets += [each.offset for each in offsets]
        return offsets

    def committed(self, *_: Any) -> list[ClientPartition]:
        """Nothing is committed."""
        return []

    def subscribe(self, topics: list[str], **_: Any) -> None:
        """Join."""

    def close(self) -> None:
        """Leave."""

    def list_topics(self, *_: Any) -> None:
        """Answer, and run callbacks meanwhile."""
        self.asked.append("list_topics")


class Watch:
    """What Kafka says of the topic "results" when it is asked."""

    def __init__(self, partitions: int) -> None:
        self.state = TopicState("a", partitions)
        self.hurried = 0

    def answers(self, _timeout: float) -> TopicFacts:
        """Answer at once."""
        return TopicFacts({"results": self.state}, {})

    def look(self, *_: Any) -> TopicFacts:
        """Answer at once."""
        return self.answers(0)

    def hurry(self) -> None:
        """Ask soon."""
        self.hurried += 1

    def close(self) -> None:
        """Close."""


@pytest.fixture(autouse=True)
def closed_clients(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Clients are closed after a test: their threads would look for a broker until all tests have ended."""
    made: list[Any] = []

    def noted(*arguments: Any, **named: Any) -> Any:
        made.append(build(*arguments, **named))
        return made[-1]

    monkeypatch.setattr(consumer_thread, "build", noted)
    yield
    for each in made:
        with contextlib.suppress(RuntimeError):  # the test has closed it
            each.close()


async def owner_with_a_record_done() -> tuple[ConsumerThread, Any]:
    """An owner, its thread not started, that has something to commit after every broker was away."""
    owner = ConsumerThread(KafkaSettings("127.0.0.1:1"), ["results"], "bridges", ConsumerOptions())
    recorder: Any = Recorder()
    owner.consumer = recorder
    watch: Any = Watch(1)
    owner._member_topics._watch = watch
    (epoch,) = owner.buffer.assign([PARTITION]).values()
    owner.buffer.put(PARTITION, [Record("results", 0, 7, 0, None, b"{}", (), epoch)])
    owner.buffer.done(*owner.buffer.take(1))
    owner.errors.all_down = True
    return owner, recorder


def take_another(owner: ConsumerThread) -> Record:
    """Hand out the next record, on which work begins."""
    epoch = owner.buffer._tracker.epoch(PARTITION)
    owner.buffer.put(PARTITION, [Record("results", 0, 8, 0, None, b"{}", (), epoch or 0)])
    (record,) = owner.buffer.take(1)
    return record


def look_at_topics(owner: ConsumerThread) -> None:
    """As the thread does between two polls."""
    if returned := owner._member_topics.look(owner.consumer, 0.0):
        owner._give_up(returned)


def revoke(owner: ConsumerThread, recorder: Any) -> None:
    """As librdkafka does inside a poll."""
    revoked: Any = owner._partitions_revoked
    revoked(recorder, [ClientPartition("results", 0)])


async def test_a_revocation_commits_in_the_background_and_asks_nothing_else() -> None:
    """A blocking commit would wait for a broker. A call with callbacks aborts the process there (exit code -6)."""
    owner, recorder = await owner_with_a_record_done()
    revoke(owner, recorder)
    assert recorder.asked == ["background commit"]


async def test_a_revocation_by_a_topic_created_anew_commits_its_beginning() -> None:
    """The position in the former topic would have the next owner skip the first records."""
    owner, recorder = await owner_with_a_record_done()
    look_at_topics(owner)
    owner._reading.assign({PARTITION: 1})
    watch: Any = owner._member_topics._watch
    watch.state = TopicState("b", 4)
    revoke(owner, recorder)
    assert recorder.committed_offsets == [0]


async def test_a_partition_that_is_not_found_is_no_missing_topic(caplog: pytest.LogCaptureFixture) -> None:
    """Kafka is asked; until it answers nothing is said, and commits go on."""
    owner, _ = await owner_with_a_record_done()
    report: Any = owner._report
    report(KafkaError(KafkaError._UNKNOWN_PARTITION), Missing(7))
    report(KafkaError(KafkaError.UNKNOWN_TOPIC_OR_PART), Missing(7))
    watch: Any = owner._member_topics._watch
    assert (watch.hurried, owner._commits.suspended, caplog.records) == (2, frozenset(), [])
    report(KafkaError(KafkaError.UNKNOWN_TOPIC_OR_PART), Missing(None))
    assert owner._commits.suspended == {"results"}


@pytest.mark.parametrize(("security", "fails"), [(TOKENS, False), (PASSWORD, True)])
async def test_the_end_of_an_access_token_is_no_failure(security: KafkaSecurity, fails: bool) -> None:  # noqa: FBT001 - a parameter
    """A question that is under way then is answered with a failed log-in, and the next token is asked for already."""
    owner, _ = await owner_with_a_record_done()
    owner._settings = KafkaSettings("127.0.0.1:1", security)
    report: Any = owner._report
    report(KafkaError(KafkaError._AUTHENTICATION), Missing(None))
    assert isinstance(owner.failure, AccessDeniedError) is fails


@pytest.mark.parametrize(("security", "told"), [(TOKENS, KafkaUnavailableError), (PASSWORD, AccessDeniedError)])
async def test_a_consumer_that_ends_with_an_access_token_is_to_be_replaced(
    monkeypatch: pytest.MonkeyPatch, security: KafkaSecurity, told: type[Exception]
) -> None:
    """Where partitions start is asked for ten seconds, inside an assignment; then the consumer cannot go on."""
    owner, _ = await owner_with_a_record_done()
    owner._settings = KafkaSettings("127.0.0.1:1", security)
    monkeypatch.setattr(owner, "_leave", lambda: None)

    def poll(_seconds: float) -> NoReturn:
        raise KafkaException(KafkaError(KafkaError._AUTHENTICATION))

    monkeypatch.setattr(owner._reading, "poll", poll)
    owner._run()
    assert type(owner.failure) is told


async def test_partitions_that_do_not_exist_any_more_are_forgotten() -> None:
    """Nothing of them is committed. If they come back before the group assigns anew, the client is given up."""
    owner, _ = await owner_with_a_record_done()
    watch: Any = owner._member_topics._watch
    second = TopicPartition("results", 1)
    owner._reading.assign(owner.buffer.assign([second]))
    watch.state = TopicState("a", 2)
    look_at_topics(owner)
    watch.state = TopicState("b", 1)
    look_at_topics(owner)
    assert owner.buffer.assignment() == {PARTITION}
    assert owner.failure is None
    watch.state = TopicState("c", 2)
    look_at_topics(owner)
    assert "results[1]" in str(owner.failure)


async def test_a_commit_that_a_rebalance_overtakes_is_made_again(caplog: pytest.LogCaptureFixture) -> None:
    """Kafka refuses it without harm, so there is no warning; the partition stays, and its position is still due."""
    owner, _ = await owner_with_a_record_done()
    committed: Any = owner._committed_or_not
    committed(KafkaError(KafkaError.ILLEGAL_GENERATION), [ClientPartition("results", 0, 8)])
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []
    assert owner.buffer.commits() == {PARTITION: Commit(8)}


async def test_a_commit_that_fails_otherwise_is_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    """It names Kafka's reason."""
    owner, _ = await owner_with_a_record_done()
    committed: Any = owner._committed_or_not
    committed(KafkaError(KafkaError.COORDINATOR_NOT_AVAILABLE), [])
    assert "COORDINATOR_NOT_AVAILABLE" in caplog.text


async def test_a_commit_by_the_clock_looks_for_a_broker_first() -> None:
    """Where polling is possible, a broker that is away costs half a second, not a session time-out."""
    owner, recorder = await owner_with_a_record_done()
    owner._commits.begin(recorder)
    assert recorder.asked == ["list_topics", "background commit"]


async def test_a_thread_that_ends_unexpectedly_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is raised in the thread reaches the caller of fetch, and stop ends."""
    consumer = ConfluentConsumer(KafkaSettings("127.0.0.1:1"), ["results"], "bridges")
    owner = ConsumerThread(KafkaSettings("127.0.0.1:1"), ["results"], "bridges", ConsumerOptions())

    def broken(_wait_s: float) -> None:
        raise SystemError("a binding's own defect")

    monkeypatch.setattr(owner._reading, "poll", broken)
    monkeypatch.setattr(consumer, "_thread", owner)
    owner.start()
    async with asyncio.timeout(20):
        with pytest.raises(KafkaUnavailableError, match="a binding's own defect"):
            await consumer.fetch(1, 20)
        with pytest.raises(KafkaUnavailableError, match="start a new one"):
            await consumer.fetch(1, 20)
        await consumer.stop()
        await consumer.stop()


async def test_a_commit_that_the_thread_ends_of_is_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its caller would wait for ever, and never fetch, which tells it why."""
    owner, _ = await owner_with_a_record_done()

    def broken(_wait_s: float) -> None:
        raise SystemError("a binding's own defect")

    monkeypatch.setattr(owner._reading, "poll", broken)
    commit = asyncio.create_task(owner.command("commit"))
    await asyncio.sleep(0)
    run: Any = owner._run
    with pytest.raises(SystemError):
        run()
    async with asyncio.timeout(60):
        await commit


async def test_a_commit_is_answered_while_the_poll_goes_on() -> None:
    """A poll that brings Kafka's answer goes on waiting for records: who waits for the commit is told at once."""
    owner, _ = await owner_with_a_record_done()
    commit = asyncio.create_task(owner.command("commit"))
    await asyncio.sleep(0)
    run_commands, committed, poll_s = owner._run_commands, owner._committed_or_not, owner._poll_s
    run_commands()
    assert not commit.done()
    committed(None, [ClientPartition("results", 0, 8)])  # runs inside the poll
    async with asyncio.timeout(60):
        await commit
    assert poll_s(time.monotonic()) < poll_s(time.monotonic() + 60)  # the next command comes soon


async def test_a_commit_with_nothing_to_commit_is_answered() -> None:
    """No answer of Kafka would come."""
    owner, _ = await owner_with_a_record_done()
    owner.buffer.committed(owner.buffer.commits())
    commit = asyncio.create_task(owner.command("commit"))
    await asyncio.sleep(0)
    run_commands, answer = owner._run_commands, owner._answer_commits
    run_commands()
    answer(time.monotonic())
    async with asyncio.timeout(60):
        await commit


async def test_a_commit_that_work_waits_for_is_made_while_its_partition_drains() -> None:
    """Else work, commit and rebalance would wait for each other until the time to drain is over."""
    owner, recorder = await owner_with_a_record_done()
    record = take_another(owner)

    async def begin_and_finish() -> None:
        await owner.command("commit")
        owner.buffer.done(record)

    revocation = asyncio.to_thread(revoke, owner, recorder)
    async with asyncio.timeout(60):
        await asyncio.gather(revocation, begin_and_finish())
    assert recorder.asked == ["commit", "background commit"]
    assert recorder.committed_offsets == [8, 9], "the record was done before the partition went"


async def test_a_drain_whose_commit_has_no_answer_minds_a_stop() -> None:
    """Without a broker it may have none for two session timeouts; the client is closed when the commit is over."""
    owner, recorder = await owner_with_a_record_done()
    take_another(owner)
    owner.errors.all_down = False
    asked, answered, closed = threading.Event(), threading.Event(), threading.Event()

    def commit(*, offsets: list[ClientPartition], asynchronous: bool) -> list[ClientPartition]:
        if not asynchronous:
            asked.set()
            assert answered.wait(60)
        return offsets

    def close() -> None:
        assert answered.is_set()
        closed.set()

    recorder.commit, recorder.close = commit, close
    revocation = asyncio.create_task(asyncio.to_thread(revoke, owner, recorder))
    commands = [asyncio.create_task(owner.command("commit"))]
    assert await asyncio.to_thread(asked.wait, 60)
    commands.append(asyncio.create_task(owner.command("stop")))
    async with asyncio.timeout(5):
        await revocation
    close_client: Any = owner._close_client
    closing = asyncio.create_task(asyncio.to_thread(close_client))
    answered.set()
    async with asyncio.timeout(60):
        await closing
    assert closed.is_set()
    owner._commands.close()
    async with asyncio.timeout(60):
        await asyncio.gather(*commands)
