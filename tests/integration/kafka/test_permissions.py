"""ACLs on a real broker: an error names the missing permission and the resource."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import contextmanager

import pytest
from confluent_kafka.admin import AclOperation, ResourceType
from tests.integration.guarded_kafka import GROUP, TOPIC, Guarded, guarded_kafka
from tests.integration.kafka.labs import transaction

from kallback.kafka import (
    AiokafkaConsumer,
    AiokafkaProducer,
    ClientName,
    ConfluentConsumer,
    ConfluentProducer,
    Consumer,
    DeadLetter,
    DeadLetterId,
    Existed,
    Hidden,
    Missing,
    OutgoingRecord,
    Position,
    Record,
    Replayer,
    TopicSpec,
    client_of,
    clients_of,
    compare_topics,
    create_topics,
    find_missing,
    open_transactions,
)
from kallback.protocol import AccessDeniedError, MissingTopicError
from kallback.settings import KafkaSettings

pytestmark = [pytest.mark.integration, pytest.mark.local_servers]

Make = Callable[[KafkaSettings, list[str], str], Consumer]
CONSUMERS: list[Make] = [ConfluentConsumer, AiokafkaConsumer]


@pytest.fixture(scope="module")
def guarded() -> Generator[Guarded]:
    """A listener for ourselves, who may do everything, and one with a password for alice."""
    with guarded_kafka() as server:
        yield server


async def fetched(consumer: Consumer, patience: float = 60) -> list[Record]:
    """What comes first, fetching as a worker does: a second at a time."""
    deadline = time.monotonic() + patience
    while not (records := await consumer.fetch(1, 1.0)):
        assert time.monotonic() < deadline, f"waited {patience:g} s for a record or an error"
    return records


@pytest.mark.parametrize("make", CONSUMERS)
async def test_a_refused_group_is_named_and_so_is_what_it_takes(guarded: Guarded, make: Make) -> None:
    """The topic may be read, the group may not be joined."""
    topic = guarded.topics("guarded")
    guarded.allow(TOPIC, topic, AclOperation.READ)
    async with make(guarded.hers, [topic], "kitchen") as consumer:
        with pytest.raises(AccessDeniedError, match=rf"{topic}.*READ on the consumer group 'kitchen'.*missing ACL"):
            await fetched(consumer)


@pytest.mark.parametrize("make", CONSUMERS)
async def test_a_refused_consumer_that_fetches_again_gets_in_when_it_is_allowed(guarded: Guarded, make: Make) -> None:
    """The refusal is told, but the consumer is as good as before."""
    topic = guarded.topics("guarded")
    guarded.allow(TOPIC, topic, AclOperation.READ)
    async with ConfluentProducer(guarded.ours) as producer, make(guarded.hers, [topic], topic) as consumer:
        await producer.send(OutgoingRecord(topic, b"later"))
        with pytest.raises(AccessDeniedError):
            await fetched(consumer)
        guarded.allow(GROUP, topic, AclOperation.READ)
        (record,) = await until_let_in(consumer)
        assert record.value == b"later"


async def until_let_in(consumer: Consumer) -> list[Record]:
    """Brokers hear of a permission a moment later, and a client may have asked before."""
    deadline = time.monotonic() + 60
    while True:
        try:
            return await fetched(consumer)
        except AccessDeniedError:
            assert time.monotonic() < deadline, "waited 60 s for a permission to be heard of"


@pytest.mark.parametrize("make", CONSUMERS)
@pytest.mark.parametrize("busy", [True, False], ids=["busy", "idle"])
async def test_a_group_that_is_withdrawn_is_named_too(guarded: Guarded, make: Make, *, busy: bool) -> None:
    """Librdkafka does not tell its application: a refused commit does, or a look at what is committed."""
    topic = guarded.topics("guarded")
    guarded.allow(TOPIC, topic, AclOperation.READ)
    guarded.allow(GROUP, topic, AclOperation.READ)
    async with ConfluentProducer(guarded.ours) as producer, make(guarded.hers, [topic], topic) as consumer:
        for _ in range(2):
            await producer.send(OutgoingRecord(topic, b"one"))
        first, *rest = await until_let_in(consumer)
        consumer.done(first)
        await consumer.commit()
        second = (rest or await fetched(consumer))[0]
        guarded.forbid(GROUP, topic)
        if busy:
            consumer.done(second)
        with pytest.raises(AccessDeniedError, match=f"READ on the consumer group '{topic}'"):
            await fetched(consumer, 40)


@pytest.mark.parametrize("make", CONSUMERS)
async def test_a_topic_that_may_not_be_read_any_more_is_named(guarded: Guarded, make: Make) -> None:
    """The group is as it was."""
    topic = guarded.topics("guarded")
    guarded.allow(TOPIC, topic, AclOperation.READ)
    guarded.allow(GROUP, topic, AclOperation.READ)
    async with ConfluentProducer(guarded.ours) as producer, make(guarded.hers, [topic], topic) as consumer:
        await producer.send(OutgoingRecord(topic, b"one"))
        await until_let_in(consumer)
        guarded.forbid(TOPIC, topic)
        with pytest.raises(AccessDeniedError, match=topic):
            await fetched(consumer, 40)


@pytest.mark.parametrize("make", CONSUMERS)
async def test_a_topic_that_is_withdrawn_before_the_group_assigns_it_is_named(guarded: Guarded, make: Make) -> None:
    """Then the group has nothing to assign, so no fetch meets the refusal."""
    topic = guarded.topics("guarded")
    guarded.allow(TOPIC, topic, AclOperation.READ)
    async with make(guarded.hers, [topic], topic) as consumer:
        guarded.forbid(TOPIC, topic)
        guarded.allow(GROUP, topic, AclOperation.READ)
        with pytest.raises(AccessDeniedError, match=rf"reading {topic}"):
            await fetched_with_a_group(consumer)


async def fetched_with_a_group(consumer: Consumer) -> None:
    """Fetch past the refusals of the group."""
    while True:
        try:
            await fetched(consumer)
        except AccessDeniedError as error:
            if "consumer group" not in str(error):
                raise


@contextmanager
def allowed(guarded: Guarded, topic: str, *operations: AclOperation) -> Generator[None]:
    """Alice may do this with the topic for a while."""
    guarded.allow(TOPIC, topic, *operations)
    yield
    guarded.forbid(TOPIC, topic)


CREATE, DESCRIBE, OPTIONS = AclOperation.CREATE, AclOperation.DESCRIBE, AclOperation.DESCRIBE_CONFIGS


@pytest.mark.parametrize(
    ("operations", "lacks"), [((CREATE,), "DESCRIBE"), ((CREATE, DESCRIBE), "DESCRIBE_CONFIGS")], ids=["none", "some"]
)
async def test_a_topic_that_may_not_be_described(
    guarded: Guarded, operations: tuple[AclOperation, ...], lacks: str
) -> None:
    """It exists, and cannot be compared with what was asked for: the sentence names it and the permission."""
    topic = guarded.topics("guarded")
    wanted = TopicSpec(topic, config={"cleanup.policy": "delete"})
    with (
        allowed(guarded, topic, *operations),
        pytest.raises(AccessDeniedError, match=rf"'{topic}' \({lacks}\) failed .*missing ACL"),
    ):
        await create_topics(guarded.hers, [wanted])


async def test_describing_is_all_it_takes(guarded: Guarded) -> None:
    """With both permissions the topic is compared."""
    topic = guarded.topics("guarded")
    with allowed(guarded, topic, CREATE, DESCRIBE, OPTIONS):
        wanted = TopicSpec(topic, partitions=1, config={"cleanup.policy": "delete"})
        assert await create_topics(guarded.hers, [wanted]) == [Existed(topic)]


async def test_a_user_who_may_write_nowhere_is_told_which_acl_by_a_worker_s_client(guarded: Guarded) -> None:
    """Its producer is refused when it starts."""
    with pytest.raises(
        AccessDeniedError, match=r"may write to no topic.*the missing ACL, WRITE on each topic that it writes to"
    ):
        await AiokafkaProducer(guarded.hers).start()


async def test_a_user_who_may_write_nowhere_is_refused_each_time(
    guarded: Guarded, caplog: pytest.LogCaptureFixture
) -> None:
    """Brokers refuse such a producer as a whole, which librdkafka does not outlive: that is no outage of Kafka."""
    topic = guarded.topics("guarded")
    guarded.allow(TOPIC, topic, AclOperation.DESCRIBE)
    producer = ConfluentProducer(guarded.hers)
    try:
        for _ in range(4):
            with pytest.raises(
                AccessDeniedError, match=rf"sending to '{topic}' \(WRITE\).*the missing ACL, WRITE on each topic"
            ):
                await producer.send(OutgoingRecord(topic, b"x"))
        with allowed(guarded, topic, AclOperation.WRITE):
            await sent(producer, topic)
    finally:
        await producer.stop()
    assert "ended unexpectedly" not in caplog.text


async def sent(producer: ConfluentProducer, topic: str) -> None:
    """Brokers hear of a permission a moment later."""
    deadline = time.monotonic() + 60
    while True:
        try:
            await producer.send(OutgoingRecord(topic, b"x"))
        except AccessDeniedError:
            assert time.monotonic() < deadline, "waited 60 s for the permission to count"
        else:
            return


async def test_whose_transaction_is_open_is_told_as_far_as_permissions_go(guarded: Guarded) -> None:
    """Nothing without READ on the topic, the producer's number with it, its name to those who may see that."""
    topic = guarded.topics("guarded")
    guarded.allow(TOPIC, topic, AclOperation.DESCRIBE)
    with transaction(guarded.ours, topic, "a"):
        with pytest.raises(AccessDeniedError, match=rf"reading the open transactions of '{topic}' \(READ\)"):
            await open_transactions(guarded.hers, [topic])
        guarded.allow(TOPIC, topic, AclOperation.READ)
        [found] = await open_transactions(guarded.hers, [topic])
        assert (found.start_offset, found.producer_id >= 0, found.transactional_id) == (0, True, None)
        [ours] = await open_transactions(guarded.ours, [topic])
        guarded.allow(ResourceType.TRANSACTIONAL_ID, ours.transactional_id or "", AclOperation.DESCRIBE)
        assert await open_transactions(guarded.hers, [topic]) == [ours]


async def test_topics_that_are_hidden_are_not_said_to_be_missing(guarded: Guarded) -> None:
    """Kafka's list leaves them out; the remedy is a permission for all of them, and not to create them."""
    first, second = guarded.topics("hidden"), guarded.topics("hidden")
    with pytest.raises(AccessDeniedError, match=rf"looking up '{first}', '{second}' \(DESCRIBE\)"):
        await compare_topics(guarded.hers, [TopicSpec(first), TopicSpec(second)])


async def test_a_hidden_topic_is_told_from_a_missing_one(guarded: Guarded) -> None:
    """Kafka refuses to say whether it exists; of one that may be looked at it says that it does not."""
    hidden, seen = guarded.topics("hidden"), guarded.topics("seen")
    with allowed(guarded, seen, DESCRIBE), allowed(guarded, "nowhere", DESCRIBE):
        assert await find_missing(guarded.hers, [seen, hidden, "nowhere"]) == [Hidden(hidden), Missing("nowhere")]


@pytest.mark.parametrize("client", ["confluent", "aiokafka"])
async def test_a_letter_whose_topic_may_not_be_written_does_not_stop_a_replay(
    guarded: Guarded, client: ClientName
) -> None:
    """Who writes dead letters names the topic, and may name one that the operator only sees."""
    own, closed, dead = (guarded.topics(name) for name in ("own", "closed", "dead"))
    letters = [
        DeadLetter(DeadLetterId(0, n), "late", "", 1, 2, Position(topic, 0, n), 3, "bridge", None, b"v", ())
        for n, topic in enumerate([own, closed, own])
    ]

    async def read() -> AsyncGenerator[DeadLetter]:
        for each in letters:
            yield each

    with (
        allowed(guarded, own, AclOperation.WRITE),
        allowed(guarded, closed, DESCRIBE),
        allowed(guarded, dead, AclOperation.WRITE),
    ):
        async with clients_of(client_of(client), guarded.hers).producer() as producer:
            report = await Replayer(producer, dead, find=lambda _positions, _keep: NotImplemented).replay(read())
    assert (report.sent, report.unmarked) == (2, 0)
    [(cause, failure)] = report.failed.items()
    assert (closed in cause, "WRITE" in cause, failure.count) == (True, True, 1)


async def test_a_worker_s_client_does_not_say_that_a_hidden_topic_is_not_there(guarded: Guarded) -> None:
    """Aiokafka cannot tell, so the sentence has both remedies."""
    topic = guarded.topics("hidden")
    with pytest.raises(MissingTopicError, match=r"topics create .*; or this user may not see it, and needs DESCRIBE"):
        await AiokafkaConsumer(guarded.hers, [topic], topic).start()


async def test_a_refused_producer_writes_no_line_of_its_library(
    guarded: Guarded, capfd: pytest.CaptureFixture[str]
) -> None:
    """The error is kallback's; librdkafka writes to the terminal by itself."""
    topic = guarded.topics("guarded")
    async with ConfluentProducer(guarded.hers) as producer:
        with pytest.raises(AccessDeniedError):
            await producer.send(OutgoingRecord(topic, b"x"))
    assert "FATAL" not in capfd.readouterr().err


async def test_a_password_that_is_sent_unencrypted_is_said_once(
    guarded: Guarded, caplog: pytest.LogCaptureFixture
) -> None:
    """With the remedy; aiokafka says it at each connection, without one."""
    topic = guarded.topics("guarded")
    with allowed(guarded, topic, AclOperation.WRITE):
        for _ in range(2):
            async with AiokafkaProducer(guarded.hers) as producer:
                await producer.send(OutgoingRecord(topic, b"x"))
    assert "in the clear" not in caplog.text
    assert caplog.text.count("set KALLBACK_KAFKA_SECURITY_PROTOCOL=SASL_SSL") <= 1
