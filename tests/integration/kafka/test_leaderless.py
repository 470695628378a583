"""A topic with a partition that no broker leads: its only replica lies on a broker that has died."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import uuid
from typing import TYPE_CHECKING

import pytest
from confluent_kafka import Consumer as Client
from confluent_kafka import Producer as RawProducer
from confluent_kafka import TopicPartition as ClientPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from kallback.kafka import ConsumerOptions, TopicPartition, client_of, clients_of
from kallback.kafka.group_status import UNKNOWN_LAG, Lag
from kallback.kafka.offsets import leaderless
from kallback.protocol import KafkaUnavailableError
from kallback.settings import KafkaSettings
from kallback.testing import KafkaOptions, start_kafka
from kallback.testing.servers.kafka import SINGLE_NODE, KafkaProbe, LocalKafka
from kallback.testing.servers.processes import ChildProcess

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

pytestmark = [pytest.mark.integration, pytest.mark.local_servers, pytest.mark.timeout(300)]

TOPIC = "halves"


@pytest.fixture(scope="module")
def bootstrap_servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A cluster whose second broker led partition 1 and is dead."""
    with start_kafka(KafkaOptions(embedded=False)) as first:
        assert isinstance(first, LocalKafka)
        second, answers = _second_broker(first, tmp_path_factory.mktemp("second"))
        admin = AdminClient({"bootstrap.servers": first.bootstrap_servers, "log_level": 0})
        try:
            second.start()
            second.wait_ready(answers)
            admin.create_topics([NewTopic(TOPIC, 2, replica_assignment=[[1], [2]])])[TOPIC].result()
            _wait_for_leader(admin, 2)
        finally:
            second.kill()
        _wait_for_leader(admin, -1)
        yield first.bootstrap_servers


def _second_broker(first: LocalKafka, folder: Path) -> tuple[ChildProcess, Callable[[], bool]]:
    """Prepare a broker that joins the cluster; return it, not started, and whether it answers."""
    of_first = dict(line.split("=", 1) for line in (first.directory / "server.properties").read_text().splitlines())
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    own = {
        "process.roles": "broker",
        "node.id": "2",
        "listeners": f"PLAINTEXT://127.0.0.1:{port}",
        "log.dirs": str(folder / "data"),
    }
    properties = SINGLE_NODE | {name: of_first[name] for name in _SHARED} | own
    config = folder / "server.properties"
    config.write_text("".join(f"{name}={value}\n" for name, value in properties.items()))
    cluster = (first.directory / "data" / "meta.properties").read_text().split("cluster.id=")[1].split()[0]
    format_ = first._software.command("kafka.tools.StorageTool", "format", "-t", cluster, "-c", str(config))
    subprocess.run(format_, capture_output=True, check=True)
    broker = ChildProcess("Kafka", first._software.command("kafka.Kafka", str(config)), log=folder / "kafka.log")
    return broker, KafkaProbe(f"127.0.0.1:{port}").answers


_SHARED = ("controller.quorum.bootstrap.servers", "listener.security.protocol.map")


def _wait_for_leader(admin: AdminClient, leader: int) -> None:
    while admin.list_topics(TOPIC, 10).topics[TOPIC].partitions[1].leader != leader:
        pass


@pytest.mark.parametrize("client", ["confluent", "aiokafka"])
async def test_a_reader_does_not_start_and_names_the_partition(bootstrap_servers: str, client: str) -> None:
    """Not that the topic is missing or that no broker answered; it has waited for a leader for a bounded time."""
    clients = clients_of(client_of(client), KafkaSettings(bootstrap_servers, connect_timeout=3))
    reader = clients.reader(TOPIC)
    with pytest.raises(KafkaUnavailableError, match=r"^no broker leads halves\[1\], for 3 s"):
        await asyncio.wait_for(reader.start(), 60)
    await reader.stop()


@pytest.mark.parametrize("client", ["confluent", "aiokafka"])
@pytest.mark.parametrize("options", [ConsumerOptions(mark_history=True), ConsumerOptions(commit_metadata=True)])
async def test_a_member_reads_the_other_partitions(
    bootstrap_servers: str, client: str, options: ConsumerOptions, caplog: pytest.LogCaptureFixture
) -> None:
    """What the group has committed of them counts, though Kafka cannot say where the one without leader ends."""
    group = f"g-{uuid.uuid4().hex[:8]}"
    await asyncio.to_thread(_begin_group, bootstrap_servers, group)
    clients = clients_of(client_of(client), KafkaSettings(bootstrap_servers, connect_timeout=3))
    async with clients.consumer([TOPIC], group, options) as consumer:
        async with asyncio.timeout(60):
            while not (records := await consumer.fetch(1, 1.0)):
                pass
    assert [(each.partition, each.value, each.history) for each in records] == [(0, b"x", False)]
    assert "not known" not in caplog.text


@pytest.mark.parametrize("client", ["confluent", "aiokafka"])
async def test_the_lag_of_the_other_partitions_is_known(bootstrap_servers: str, client: str) -> None:
    """Only that of the partition without leader is not, and is said to be unknown."""
    group = f"g-{uuid.uuid4().hex[:8]}"
    await asyncio.to_thread(_begin_group, bootstrap_servers, group)
    clients = clients_of(client_of(client), KafkaSettings(bootstrap_servers, connect_timeout=3))
    led, leaderless = TopicPartition(TOPIC, 0), TopicPartition(TOPIC, 1)
    async with clients.consumer([TOPIC], group, ConsumerOptions()) as consumer, asyncio.timeout(60):
        while not await consumer.fetch(1, 1.0):
            pass

        def lags() -> list[Lag]:
            partitions = consumer.group_status().partitions
            return [partitions[each].lag if each in partitions else UNKNOWN_LAG for each in (led, leaderless)]

        while UNKNOWN_LAG in lags()[:1]:
            await consumer.fetch(1, 0.2)
        assert (lags()[0] != 0, lags()[1]) == (True, UNKNOWN_LAG)


@pytest.mark.parametrize("client", ["confluent", "aiokafka"])
async def test_a_member_names_the_partition_in_its_status(
    bootstrap_servers: str, client: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Records may lie in it; the probes say so."""
    monkeypatch.setattr(leaderless, "STALLED_AFTER_S", 0.0)
    group = f"g-{uuid.uuid4().hex[:8]}"
    await asyncio.to_thread(_begin_group, bootstrap_servers, group)
    clients = clients_of(client_of(client), KafkaSettings(bootstrap_servers, connect_timeout=3))
    async with clients.consumer([TOPIC], group, ConsumerOptions()) as consumer, asyncio.timeout(60):
        while not consumer.group_status().leaderless:
            await consumer.fetch(1, 0.2)
        assert consumer.group_status().leaderless == {TopicPartition(TOPIC, 1)}
        assert "no broker has led halves[1]" in (consumer.group_status().stall_reason() or "")


def _begin_group(bootstrap_servers: str, group: str) -> None:
    """Commit the beginnings of both partitions, and write a record to the one that has a leader."""
    connection = {"bootstrap.servers": bootstrap_servers, "log_level": 0}
    member = Client(connection | {"group.id": group})
    member.commit(offsets=[ClientPartition(TOPIC, number, 0) for number in (0, 1)], asynchronous=False)
    member.close()
    producer = RawProducer(connection)
    producer.produce(TOPIC, b"x", partition=0)
    assert producer.flush(30) == 0
