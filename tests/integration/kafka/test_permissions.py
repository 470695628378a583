"""ACLs on a real broker: an error names the missing permission and the resource."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest
from confluent_kafka.admin import (
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
)

from kallback.kafka import (
    AiokafkaConsumer,
    ConfluentConsumer,
    ConfluentProducer,
    Consumer,
    Existed,
    OutgoingRecord,
    Record,
    TopicSpec,
    create_topics,
)
from kallback.protocol import AccessDeniedError
from kallback.settings import KafkaSecurity, KafkaSettings, SaslMechanism, Secret, SecurityProtocol
from kallback.testing.servers.ports import free_ports
from kallback.testing.stack import KafkaOptions, start_kafka
from kallback.testing.topics import TopicFactory

pytestmark = [pytest.mark.integration, pytest.mark.local_servers]

Make = Callable[[KafkaSettings, list[str], str], Consumer]
CONSUMERS: list[Make] = [ConfluentConsumer, AiokafkaConsumer]
USER = "alice"
TOPIC, GROUP = ResourceType.TOPIC, ResourceType.GROUP


@dataclass(frozen=True)
class Guarded:
    """A broker on which alice may do nothing unless it is allowed."""

    admin: AdminClient
    ours: KafkaSettings
    hers: KafkaSettings
    topics: TopicFactory

    def allow(self, kind: ResourceType, name: str, *operations: AclOperation) -> None:
        """Let alice do something with a topic or a group."""
        for future in self.admin.create_acls([binding(kind, name, each) for each in operations]).values():
            future.result(20)

    def forbid(self, kind: ResourceType, name: str) -> None:
        """Take back what alice may do with it."""
        chosen = AclBindingFilter(
            kind, name, ResourcePatternType.LITERAL, f"User:{USER}", "*", AclOperation.ANY, AclPermissionType.ANY
        )
        assert self.admin.delete_acls([chosen])[chosen].result(20)


def binding(kind: ResourceType, name: str, operation: AclOperation) -> AclBinding:
    """One ACL of alice's."""
    return AclBinding(kind, name, ResourcePatternType.LITERAL, f"User:{USER}", "*", operation, AclPermissionType.ALLOW)


@pytest.fixture(scope="module")
def guarded() -> Generator[Guarded]:
    """A listener for ourselves, who may do everything, and one with a password for alice."""
    plain, controller, login = free_ports(3)
    options = KafkaOptions(port=plain, properties=properties((plain, controller, login)))
    with start_kafka(options) as server:
        security = KafkaSecurity(
            protocol=SecurityProtocol.SASL_PLAINTEXT,
            mechanism=SaslMechanism.PLAIN,
            username=USER,
            password=Secret("secret"),
        )
        yield Guarded(
            AdminClient({"bootstrap.servers": server.bootstrap_servers, "log_level": 0}),
            KafkaSettings(server.bootstrap_servers),
            KafkaSettings(f"127.0.0.1:{login}", security),
            TopicFactory(server),
        )


def properties(ports: tuple[int, ...]) -> dict[str, str]:
    """The broker's listeners, and who decides."""
    names = ("PLAINTEXT", "CONTROLLER", "LOGIN")
    module = "org.apache.kafka.common.security"
    return {
        "listeners": ",".join(f"{name}://127.0.0.1:{port}" for name, port in zip(names, ports, strict=True)),
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,LOGIN:SASL_PLAINTEXT",
        "controller.quorum.bootstrap.servers": f"127.0.0.1:{ports[1]}",
        "inter.broker.listener.name": "PLAINTEXT",
        "listener.name.login.sasl.enabled.mechanisms": "PLAIN",
        "listener.name.login.plain.sasl.jaas.config": f'{module}.plain.PlainLoginModule required user_{USER}="secret";',
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "super.users": "User:ANONYMOUS",
    }


async def fetched(consumer: Consumer, patience: float = 20.0) -> list[Record]:
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
    deadline = time.monotonic() + 20
    while True:
        try:
            return await fetched(consumer)
        except AccessDeniedError:
            assert time.monotonic() < deadline, "waited 20 s for a permission to be heard of"


async def test_a_group_that_is_withdrawn_is_named_too(guarded: Guarded) -> None:
    """A member on aiokafka hears of it with its next heartbeat; librdkafka goes on beating and says nothing."""
    topic = guarded.topics("guarded")
    guarded.allow(TOPIC, topic, AclOperation.READ)
    guarded.allow(GROUP, topic, AclOperation.READ)
    async with ConfluentProducer(guarded.ours) as producer, AiokafkaConsumer(guarded.hers, [topic], topic) as consumer:
        await producer.send(OutgoingRecord(topic, b"one"))
        await until_let_in(consumer)
        guarded.forbid(GROUP, topic)
        with pytest.raises(AccessDeniedError, match=f"READ on the consumer group '{topic}'"):
            await fetched(consumer)


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
