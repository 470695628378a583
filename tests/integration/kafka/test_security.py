"""TLS and SASL on real listeners: both clients connect, and what is wrong is said in a sentence without secrets."""

from __future__ import annotations

import dataclasses
import shutil
import subprocess
from collections.abc import Callable, Generator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
from confluent_kafka.admin import AdminClient, ScramCredentialInfo, ScramMechanism, UserScramCredentialUpsertion

from kallback.kafka import (
    AiokafkaConsumer,
    AiokafkaProducer,
    ConfluentConsumer,
    ConfluentProducer,
    Consumer,
    OutgoingRecord,
    Producer,
)
from kallback.protocol import AccessDeniedError, KallbackError
from kallback.sdk.journal.publish import TaskPublisher, Unreachable
from kallback.settings import KafkaSecurity, KafkaSettings, SaslMechanism, Secret, SecurityProtocol
from kallback.testing.servers.ports import free_ports
from kallback.testing.stack import KafkaOptions, start_kafka
from kallback.testing.topics import TopicFactory

pytestmark = [
    pytest.mark.integration,
    pytest.mark.local_servers,
    pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl makes the certificates"),
]

PASSWORD = 'alice\'s "secret" ünd more'
KEY_PASSWORD = "key-secret"
ProducerFactory = Callable[[KafkaSettings], Producer]
ConsumerFactory = Callable[[KafkaSettings, list[str], str], Consumer]
CLIENTS: dict[str, tuple[ProducerFactory, ConsumerFactory]] = {
    "confluent": (ConfluentProducer, ConfluentConsumer),
    "aiokafka": (AiokafkaProducer, AiokafkaConsumer),
}


@dataclass(frozen=True)
class Secured:
    """A broker with a listener for each way in, and the files that open them."""

    files: Path
    open: str
    tls: str
    login: str
    secure: str
    old: str
    elsewhere: str
    topics: TopicFactory

    def mutual(self, *, certificate: bool = True, key_password: str = KEY_PASSWORD) -> KafkaSettings:
        """TLS with a client's certificate, its key under a password; or without either."""
        security = KafkaSecurity(
            protocol=SecurityProtocol.SSL,
            ca_file=self.files / "ca.pem",
            cert_file=self.files / "client.pem" if certificate else None,
            key_file=self.files / "client.key" if certificate else None,
            key_password=Secret(key_password) if certificate else None,
        )
        return settings(self.tls, security)

    def stranger(self, key: str = "stranger.key") -> KafkaSettings:
        """TLS with the certificate of an authority that the broker does not trust, or with a key of another one."""
        security = KafkaSecurity(
            protocol=SecurityProtocol.SSL,
            ca_file=self.files / "ca.pem",
            cert_file=self.files / "stranger.pem",
            key_file=self.files / key,
        )
        return settings(self.tls, security)

    def speaking(self, listener: str, protocol: SecurityProtocol) -> KafkaSettings:
        """Reach a listener by a protocol that may not be its own."""
        login = {"mechanism": SaslMechanism.PLAIN, "username": "alice", "password": Secret("plain-secret")}
        security = KafkaSecurity(
            protocol=protocol,
            ca_file=self.files / "ca.pem" if protocol.uses_tls else None,
            **(login if protocol.uses_sasl else {}),  # type: ignore[arg-type]
        )
        return settings(getattr(self, listener), security)

    def plain(self, *, password: str = "plain-secret") -> KafkaSettings:
        """A password in the clear, as inside a closed network."""
        security = KafkaSecurity(
            protocol=SecurityProtocol.SASL_PLAINTEXT,
            mechanism=SaslMechanism.PLAIN,
            username="alice",
            password=Secret(password),
        )
        return settings(self.login, security)

    def scram(
        self,
        mechanism: SaslMechanism = SaslMechanism.SCRAM_SHA_512,
        *,
        password: str = PASSWORD,
        authority: str = "ca",
    ) -> KafkaSettings:
        """A password over TLS, as hosted Kafkas want it."""
        security = KafkaSecurity(
            protocol=SecurityProtocol.SASL_SSL,
            mechanism=mechanism,
            username="alice",
            password=Secret(password),
            ca_file=self.files / f"{authority}.pem",
        )
        return settings(self.secure, security)


def settings(address: str, security: KafkaSecurity) -> KafkaSettings:
    """Settings that give up late; who is refused for a reason is told at once."""
    return KafkaSettings(address, security, connect_timeout=60.0)


def openssl(folder: Path, *arguments: str) -> None:
    """Run openssl in a folder."""
    subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)


def authority(folder: Path, name: str) -> None:
    """A certificate authority of our own."""
    made = ("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", f"/CN={name}", "-days", "2")
    usage = ("-addext", "keyUsage=critical,keyCertSign,cRLSign")  # Python 3.13 refuses an authority without it
    openssl(folder, *made, *usage, "-keyout", f"{name}.key", "-out", f"{name}.pem")


def certificate(folder: Path, name: str, *key: str, names: str = "IP:127.0.0.1,DNS:localhost", days: int = 2) -> None:
    """A certificate of that authority for 127.0.0.1."""
    (folder / "names").write_text(f"subjectAltName={names}\nsubjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n")
    asked = ("req", "-newkey", "rsa:2048", *key, "-subj", f"/CN={name}")
    openssl(folder, *asked, "-keyout", f"{name}.key", "-out", f"{name}.csr")
    signed = ("x509", "-req", "-CA", "ca.pem", "-CAkey", "ca.key", "-days", str(days), "-extfile", "names")
    openssl(folder, *signed, "-in", f"{name}.csr", "-out", f"{name}.pem")


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Generator[Secured]:
    """A Kafka with PLAINTEXT for ourselves, TLS with client certificates, SASL/PLAIN, and SASL/SCRAM over TLS."""
    files = tmp_path_factory.mktemp("certificates")
    authority(files, "ca")
    authority(files, "stranger")
    certificate(files, "broker", "-nodes")
    certificate(files, "old", "-nodes", days=-1)
    certificate(files, "elsewhere", "-nodes", names="DNS:kafka.example.com")
    certificate(files, "client", "-passout", f"pass:{KEY_PASSWORD}")
    for each in ("broker", "old", "elsewhere"):
        parts = (f"{each}.key", f"{each}.pem", "ca.pem")
        (files / f"{each}.store.pem").write_text("".join((files / part).read_text() for part in parts))
    ports = free_ports(7)
    options = KafkaOptions(port=ports[0], properties=properties(files, tuple(ports)))
    with start_kafka(options) as server:
        add_user(server.bootstrap_servers)
        tls, login, secure, old, elsewhere = (f"127.0.0.1:{port}" for port in ports[2:])
        topics = TopicFactory(server)
        yield Secured(files, server.bootstrap_servers, tls, login, secure, old, elsewhere, topics)


def properties(files: Path, ports: tuple[int, ...]) -> dict[str, str]:
    """The broker's listeners and what each wants."""
    names = ("PLAINTEXT", "CONTROLLER", "TLS", "LOGIN", "SECURE", "OLD", "ELSEWHERE")
    module = "org.apache.kafka.common.security"
    return {
        "listeners": ",".join(f"{name}://127.0.0.1:{port}" for name, port in zip(names, ports, strict=True)),
        "listener.security.protocol.map": (
            "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,TLS:SSL,LOGIN:SASL_PLAINTEXT,SECURE:SASL_SSL,OLD:SSL,ELSEWHERE:SSL"
        ),
        "listener.name.old.ssl.keystore.type": "PEM",
        "listener.name.old.ssl.keystore.location": str(files / "old.store.pem"),
        "listener.name.elsewhere.ssl.keystore.type": "PEM",
        "listener.name.elsewhere.ssl.keystore.location": str(files / "elsewhere.store.pem"),
        "controller.quorum.bootstrap.servers": f"127.0.0.1:{ports[1]}",
        "inter.broker.listener.name": "PLAINTEXT",
        "ssl.keystore.type": "PEM",
        "ssl.keystore.location": str(files / "broker.store.pem"),
        "ssl.truststore.type": "PEM",
        "ssl.truststore.location": str(files / "ca.pem"),
        "listener.name.tls.ssl.client.auth": "required",
        "listener.name.login.sasl.enabled.mechanisms": "PLAIN",
        "listener.name.login.plain.sasl.jaas.config": (
            f'{module}.plain.PlainLoginModule required user_alice="plain-secret";'
        ),
        "listener.name.secure.sasl.enabled.mechanisms": "SCRAM-SHA-256,SCRAM-SHA-512",
        "listener.name.secure.scram-sha-256.sasl.jaas.config": f"{module}.scram.ScramLoginModule required;",
        "listener.name.secure.scram-sha-512.sasl.jaas.config": f"{module}.scram.ScramLoginModule required;",
    }


def add_user(bootstrap_servers: str) -> None:
    """Let alice in, by both mechanisms."""
    admin = AdminClient({"bootstrap.servers": bootstrap_servers, "log_level": 0})
    for mechanism in (ScramMechanism.SCRAM_SHA_256, ScramMechanism.SCRAM_SHA_512):
        info = ScramCredentialInfo(mechanism, 4096)
        wanted = UserScramCredentialUpsertion("alice", info, PASSWORD.encode())
        for future in admin.alter_user_scram_credentials([wanted]).values():
            future.result(10)


async def there_and_back(client: str, reached: KafkaSettings, topic: str) -> bytes | None:
    """Send a record and read it."""
    producer_of, consumer_of = CLIENTS[client]
    async with AsyncExitStack() as until:
        producer = await until.enter_async_context(producer_of(reached))
        await producer.send(OutgoingRecord(topic, client.encode()))
        consumer = await until.enter_async_context(consumer_of(reached, [topic], f"{topic}.{client}"))
        (record,) = await consumer.fetch(1, 30)
        return record.value


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("way", ["mutual", "plain", "scram", "scram-256"])
async def test_both_clients_get_in_by_every_way(secured: Secured, client: str, way: str) -> None:
    """Records go there and back."""
    ways: dict[str, Callable[[], KafkaSettings]] = {
        "mutual": secured.mutual,
        "plain": secured.plain,
        "scram": secured.scram,
        "scram-256": lambda: secured.scram(SaslMechanism.SCRAM_SHA_256),
    }
    assert await there_and_back(client, ways[way](), secured.topics("secured")) == client.encode()


async def refused(client: str, reached: KafkaSettings) -> KallbackError:
    """What a producer and a consumer say that are not let in; both the same kind of error."""
    producer_of, consumer_of = CLIENTS[client]
    found: list[KallbackError] = []
    for each in (producer_of(reached), consumer_of(reached, ["any"], "g")):
        with pytest.raises(KallbackError) as caught:
            await each.start()
        await each.stop()
        found.append(caught.value)
    assert type(found[0]) is type(found[1])
    return found[1]


@pytest.mark.parametrize("client", CLIENTS)
async def test_a_wrong_password_is_said_to_be_one(secured: Secured, client: str) -> None:
    """At once, and without the password."""
    for reached in (secured.plain(password="wr0ng-one"), secured.scram(password="wr0ng-one")):
        error = await refused(client, reached)
        assert isinstance(error, AccessDeniedError)
        assert "KALLBACK_KAFKA_SASL_" in str(error)
        assert "wr0ng" not in str(error)


@pytest.mark.parametrize("client", CLIENTS)
async def test_an_authority_that_did_not_sign_the_brokers_certificate(secured: Secured, client: str) -> None:
    """The sentence names the setting."""
    error = await refused(client, secured.scram(authority="stranger"))
    assert isinstance(error, AccessDeniedError)
    assert "KALLBACK_KAFKA_SSL_CA_FILE" in str(error)
    assert "certificate" in str(error).lower()


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize(
    ("listener", "cause", "remedy"),
    [
        ("old", "certificate has expired", "have it renewed on the broker"),
        ("elsewhere", "not valid for '127.0.0.1'", "set KALLBACK_KAFKA_BOOTSTRAP_SERVERS to a name that is in it"),
    ],
)
async def test_a_brokers_certificate_that_no_authority_makes_valid(
    secured: Secured, client: str, listener: str, cause: str, remedy: str
) -> None:
    """The sentence says what is wrong with it, and does not send people to the setting that is right."""
    error = await refused(client, secured.speaking(listener, SecurityProtocol.SSL))
    assert isinstance(error, AccessDeniedError), error
    assert cause in str(error)
    assert remedy in str(error)
    assert "KALLBACK_KAFKA_SSL_CA_FILE" not in str(error)


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("which", ["none", "of a stranger"])
async def test_a_client_certificate_that_the_broker_refuses(secured: Secured, client: str, which: str) -> None:
    """The broker hangs up, and the sentence says that the certificate is the reason, and which files it is in."""
    reached = secured.mutual(certificate=False) if which == "none" else secured.stranger()
    error = await refused(client, reached)
    assert isinstance(error, AccessDeniedError), error
    assert "client certificate" in str(error)
    assert "KALLBACK_KAFKA_SSL_CERT_FILE" in str(error)
    assert "KALLBACK_KAFKA_SSL_KEY_FILE" in str(error)


@pytest.mark.parametrize("client", CLIENTS)
async def test_a_key_that_is_not_the_certificates(secured: Secured, client: str) -> None:
    """Known before anything is connected; the sentence names both files."""
    error = await refused(client, secured.stranger(key="broker.key"))
    assert "has not the key of the certificate" in str(error)
    assert "_CERT_FILE" in str(error)
    assert "_KEY_FILE" in str(error)


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize(
    ("listener", "protocol", "right"),
    [
        ("login", SecurityProtocol.PLAINTEXT, "SASL_PLAINTEXT"),
        ("secure", SecurityProtocol.PLAINTEXT, "SASL_SSL"),
        ("tls", SecurityProtocol.PLAINTEXT, "SSL"),
        ("secure", SecurityProtocol.SASL_PLAINTEXT, "SASL_SSL"),
        ("secure", SecurityProtocol.SSL, "SASL_SSL"),
        ("open", SecurityProtocol.SSL, "PLAINTEXT"),
        ("open", SecurityProtocol.SASL_PLAINTEXT, "PLAINTEXT"),
        ("open", SecurityProtocol.SASL_SSL, "PLAINTEXT"),
        ("login", SecurityProtocol.SASL_SSL, "SASL_PLAINTEXT"),
    ],
)
async def test_a_listener_of_another_kind(
    secured: Secured, client: str, listener: str, protocol: SecurityProtocol, right: str
) -> None:
    """The sentence says how the listener speaks, and to which value the setting belongs."""
    error = await refused(client, secured.speaking(listener, protocol))
    assert isinstance(error, AccessDeniedError), error
    assert f"KALLBACK_KAFKA_SECURITY_PROTOCOL is {protocol}: set it to {right}" in str(error)


@pytest.mark.parametrize("client", CLIENTS)
async def test_a_mechanism_that_the_listener_does_not_take(secured: Secured, client: str) -> None:
    """The sentence has the listener's own list."""
    error = await refused(client, secured.scram(SaslMechanism.PLAIN))
    assert isinstance(error, AccessDeniedError), error
    assert "takes no login with PLAIN, only with SCRAM-SHA-256, SCRAM-SHA-512" in str(error)


@pytest.mark.parametrize("client", CLIENTS)
async def test_a_wrong_password_of_the_key_file(secured: Secured, client: str) -> None:
    """Known before anything is connected, and not repeated."""
    error = await refused(client, secured.mutual(key_password="wr0ng-one"))
    assert "cannot be decrypted" in str(error)
    assert "set KALLBACK_KAFKA_SSL_KEY_PASSWORD to its password" in str(error)
    assert "wr0ng" not in str(error)


async def test_a_service_that_is_refused_waits_and_says_why(secured: Secured, caplog: pytest.LogCaptureFixture) -> None:
    """Nothing acknowledges its tasks, and the setting may be mended in time: step and log have the cause."""
    reached = dataclasses.replace(secured.speaking("tls", SecurityProtocol.PLAINTEXT), delivery_timeout=1.0)
    publisher = TaskPublisher(reached)
    found = await publisher.send(OutgoingRecord("any", b"{}"))
    await publisher.stop()
    assert isinstance(found, Unreachable)
    assert "speaks TLS, and KALLBACK_KAFKA_SECURITY_PROTOCOL is PLAINTEXT" in found.detail
    assert "Kafka refuses this service, its tasks wait" in caplog.text
