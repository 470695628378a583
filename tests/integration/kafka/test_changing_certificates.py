"""Certificates that are renewed in place, on a real broker: running clients go on, under a new authority as well."""

from __future__ import annotations

import asyncio
import logging
import shutil
from collections.abc import Generator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.integration.kafka.test_security import KEY_PASSWORD, authority, certificate

from kallback.kafka import Client, Consumer, ConsumerOptions, OutgoingRecord, Producer, TopicReader, clients_of
from kallback.settings import KafkaSecurity, KafkaSettings, Secret, SecurityProtocol
from kallback.testing import eventually
from kallback.testing.log_capture import capture_logs
from kallback.testing.servers.base import KafkaServer
from kallback.testing.servers.ports import free_ports
from kallback.testing.stack import KafkaOptions, start_kafka
from kallback.testing.topics import TopicFactory

pytestmark = [
    pytest.mark.integration,
    pytest.mark.local_servers,
    pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl makes the certificates"),
]


@dataclass(frozen=True)
class Authority:
    """An authority, with certificates for a broker and for its clients."""

    folder: Path

    @classmethod
    def made(cls, folder: Path) -> Authority:
        """Make them."""
        folder.mkdir()
        authority(folder, "ca")
        certificate(folder, "broker", "-nodes")
        certificate(folder, "client", "-passout", f"pass:{KEY_PASSWORD}")
        return cls(folder)

    def text(self, *names: str) -> str:
        """What files hold, one after the other."""
        return "".join((self.folder / name).read_text() for name in names)


@dataclass(frozen=True)
class Renewing:
    """A broker, its files, and those of its clients; two authorities, of which the first is in use."""

    server: KafkaServer
    folder: Path
    address: str
    first: Authority
    second: Authority

    @property
    def settings(self) -> KafkaSettings:
        """TLS with the clients' certificate."""
        security = KafkaSecurity(
            protocol=SecurityProtocol.SSL,
            ca_file=self.folder / "ca.pem",
            cert_file=self.folder / "tls.pem",
            key_file=self.folder / "tls.key",
            key_password=Secret(KEY_PASSWORD),
        )
        return KafkaSettings(self.address, security, connect_timeout=60.0)

    def restart_under_the_second(self) -> None:
        """Start the broker anew; it knows nothing of the first authority any more."""
        serve(self.folder, self.second, trusted=self.second.text("ca.pem"))
        self.server.stop()
        self.server.start()


def serve(folder: Path, used: Authority, *, trusted: str) -> None:
    """Write the broker's files."""
    (folder / "broker.store.pem").write_text(used.text("broker.key", "broker.pem", "ca.pem"))
    (folder / "broker.trust.pem").write_text(trusted)


def mount(folder: Path, used: Authority, *, trusted: str) -> None:
    """Exchange the clients' files, each at once and one after the other."""
    texts = {"tls.pem": used.text("client.pem"), "tls.key": used.text("client.key"), "ca.pem": trusted}
    for name, text in texts.items():
        fresh = folder / f"{name}.new"
        fresh.touch(0o600)
        fresh.write_text(text)
        fresh.replace(folder / name)


@pytest.fixture
def renewing(tmp_path: Path) -> Generator[Renewing]:
    """A broker for one test, which trusts both authorities."""
    first, second = Authority.made(tmp_path / "first"), Authority.made(tmp_path / "second")
    serve(tmp_path, first, trusted=first.text("ca.pem") + second.text("ca.pem"))
    mount(tmp_path, first, trusted=first.text("ca.pem"))
    plain, controller, tls = free_ports(3)
    properties = {
        "listeners": f"PLAINTEXT://127.0.0.1:{plain},CONTROLLER://127.0.0.1:{controller},TLS://127.0.0.1:{tls}",
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,TLS:SSL",
        "controller.quorum.bootstrap.servers": f"127.0.0.1:{controller}",
        "inter.broker.listener.name": "PLAINTEXT",
        "ssl.keystore.type": "PEM",
        "ssl.keystore.location": str(tmp_path / "broker.store.pem"),
        "ssl.truststore.type": "PEM",
        "ssl.truststore.location": str(tmp_path / "broker.trust.pem"),
        "listener.name.tls.ssl.client.auth": "required",
    }
    with start_kafka(KafkaOptions(port=plain, properties=properties)) as server:
        yield Renewing(server, tmp_path, f"127.0.0.1:{tls}", first, second)


class Line:
    """A producer, a consumer and a reader that run on, and what came through."""

    def __init__(self, producer: Producer, consumer: Consumer, reader: TopicReader, topic: str) -> None:
        self._producer, self._consumer, self._reader, self._topic = producer, consumer, reader, topic
        self.sent: list[bytes | None] = []
        self.consumed: list[bytes | None] = []
        self.read: list[bytes | None] = []

    async def pass_on(self) -> None:
        """Send one record, and read until it is there, twice."""
        value = b"%d" % len(self.sent)
        await self._producer.send(OutgoingRecord(self._topic, value))
        self.sent.append(value)
        while len(self.consumed) < len(self.sent):
            records = await self._consumer.fetch(10, 60)
            assert records, "nothing was consumed within a minute"
            for record in records:
                self.consumed.append(record.value)
                self._consumer.done(record)
        while len(self.read) < len(self.sent):
            self.read += [record.value for record in await self._reader.fetch(1)]


@pytest.mark.parametrize("client", Client)
async def test_running_clients_use_the_certificates_of_now(renewing: Renewing, client: Client) -> None:
    """Certificate, key and authority are exchanged; then the broker trusts the new authority only. Nothing is lost."""
    clients = clients_of(client, renewing.settings)
    topic = TopicFactory(renewing.server)("renewed")
    with capture_logs("kallback.kafka") as lines:
        logging.getLogger("kallback.kafka").setLevel(logging.DEBUG)  # one client says it at INFO, the others at DEBUG
        async with AsyncExitStack() as until:
            producer = await until.enter_async_context(clients.producer())
            consumer = await until.enter_async_context(clients.consumer([topic], f"{topic}.g", ConsumerOptions()))
            running = Line(producer, consumer, await until.enter_async_context(clients.reader(topic)), topic)
            ends = clients.end_offsets()
            until.push_async_callback(ends.stop)
            await running.pass_on()
            assert sum((await ends.of([topic])).values()) == 1

            both = renewing.first.text("ca.pem") + renewing.second.text("ca.pem")
            mount(renewing.folder, renewing.second, trusted=both)
            if client is Client.CONFLUENT:
                wanted = {"producer", "consumer", "reader", "end offsets"}
                while not wanted <= {each.get("client") for each in lines if "takes its place" in each["event"]}:
                    await running.pass_on()
                    await ends.of([topic])
            await running.pass_on()
            renewing.restart_under_the_second()
            await running.pass_on()
            assert sum((await ends.of([topic])).values()) == len(running.sent)
    assert running.consumed == running.sent
    assert running.read == running.sent
    assert not [each for each in lines if "cannot be used" in each["event"]]


async def test_files_that_do_not_fit_leave_the_clients_as_they_are(renewing: Renewing) -> None:
    """A key of another certificate is no reason to stop; librdkafka itself says what does not fit."""
    clients = clients_of(Client.CONFLUENT, renewing.settings)
    topic = TopicFactory(renewing.server)("renewed")
    with capture_logs("kallback.kafka") as lines:
        async with clients.producer() as producer:
            await producer.send(OutgoingRecord(topic, b"1"))
            (renewing.folder / "tls.key").write_text(renewing.second.text("client.key"))
            await eventually("a warning", lambda: [each for each in lines if "cannot be used" in each["event"]])
            await producer.send(OutgoingRecord(topic, b"2"))
    (said,) = [each for each in lines if "cannot be used" in each["event"]]
    assert (said["client"], KEY_PASSWORD in str(said)) == ("producer", False)


async def test_what_a_client_could_not_send_goes_with_the_next_one(renewing: Renewing) -> None:
    """It does not trust the broker; when its files are right, waiting records are sent in order and none fails."""
    clients = clients_of(Client.CONFLUENT, renewing.settings)
    topic = TopicFactory(renewing.server)("renewed")
    with capture_logs("kallback.kafka") as lines:
        async with clients.producer() as producer, clients.reader(topic) as reader:
            mount(renewing.folder, renewing.first, trusted=renewing.second.text("ca.pem"))
            await eventually("a client that trusts nobody", lambda: [each for each in lines if "broker" in str(each)])
            sends = [asyncio.ensure_future(producer.send(OutgoingRecord(topic, b"%d" % each))) for each in range(100)]
            mount(renewing.folder, renewing.first, trusted=renewing.first.text("ca.pem"))
            positions = await asyncio.gather(*sends)
            values: list[bytes | None] = []
            while len(values) < len(sends):
                values += [record.value for record in await reader.fetch(1)]
    assert (len(set(positions)), values) == (100, [b"%d" % each for each in range(100)])
