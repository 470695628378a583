"""A Kafka with an authorizer: alice may do nothing unless it is allowed, and permissions can be withdrawn."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass

from confluent_kafka.admin import (
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
)

from kallback.settings import KafkaSecurity, KafkaSettings, SaslMechanism, Secret, SecurityProtocol
from kallback.testing.servers.ports import free_ports
from kallback.testing.stack import KafkaOptions, start_kafka
from kallback.testing.topics import TopicFactory

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
        """Let alice do something with a topic or a group; returns when the broker knows."""
        wanted = {binding(kind, name, each) for each in operations}
        for future in self.admin.create_acls(list(wanted)).values():
            future.result(20)
        self._until(kind, name, wanted.issubset)

    def forbid(self, kind: ResourceType, name: str) -> None:
        """Take back what alice may do with it; returns when the broker knows."""
        chosen = all_of(kind, name)
        assert self.admin.delete_acls([chosen])[chosen].result(20)
        self._until(kind, name, lambda found: not found)

    def _until(self, kind: ResourceType, name: str, true: Callable[[set[AclBinding]], bool]) -> None:
        """The controller has answered; the broker, which decides and is asked here, hears of it a moment later."""
        deadline = time.monotonic() + 60
        while not true(set(self.admin.describe_acls(all_of(kind, name)).result(20))):
            assert time.monotonic() < deadline, f"waited 60 s for the broker to know the ACLs of {name}"
            time.sleep(0.02)


def all_of(kind: ResourceType, name: str) -> AclBindingFilter:
    """All ACLs of alice's on a resource."""
    return AclBindingFilter(
        kind, name, ResourcePatternType.LITERAL, f"User:{USER}", "*", AclOperation.ANY, AclPermissionType.ANY
    )


def binding(kind: ResourceType, name: str, operation: AclOperation) -> AclBinding:
    """One ACL of alice's."""
    return AclBinding(kind, name, ResourcePatternType.LITERAL, f"User:{USER}", "*", operation, AclPermissionType.ALLOW)


@contextmanager
def guarded_kafka() -> Generator[Guarded]:
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
