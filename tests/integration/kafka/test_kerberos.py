"""Kerberos on a real broker and key distribution centre, for aiokafka; confluent-kafka's wheels have no Kerberos."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path

import pytest

from kallback.kafka import AiokafkaProducer, ConfluentProducer, OutgoingRecord
from kallback.protocol import AccessDeniedError, MissingExtraError
from kallback.settings import KafkaSecurity, KafkaSettings, SaslMechanism, SecurityProtocol
from kallback.testing.servers.ports import free_ports
from kallback.testing.stack import KafkaOptions, start_kafka
from kallback.testing.topics import TopicFactory

PROGRAMS = ("krb5kdc", "kdb5_util", "kadmin.local")
MISSING = [name for name in PROGRAMS if shutil.which(name, path="/usr/sbin:/usr/bin") is None]
pytestmark = [pytest.mark.integration, pytest.mark.local_servers]
has_kerberos = pytest.mark.skipif(
    bool(MISSING) or importlib.util.find_spec("gssapi") is None,
    reason="MIT Kerberos (krb5-kdc, krb5-admin-server) and the package gssapi are needed",
)
REALM = "KALLBACK.TEST"


@dataclass(frozen=True)
class Realm:
    """A key distribution centre and its files.

    Attributes:
        configuration: what `KRB5_CONFIG` names.
    """

    folder: Path
    configuration: Path

    def run(self, program: str, *arguments: str) -> None:
        """Run one of its programs."""
        command = [shutil.which(program, path="/usr/sbin:/usr/bin") or program, *arguments]
        subprocess.run(command, env=self.environment, check=True, capture_output=True)

    @property
    def environment(self) -> dict[str, str]:
        """What its programs read."""
        return {"KRB5_CONFIG": str(self.configuration), "KRB5_KDC_PROFILE": str(self.folder / "kdc.conf")}

    def keytab(self, principal: str) -> Path:
        """Make a principal; its keytab."""
        file = self.folder / f"{principal.replace('/', '-')}.keytab"
        self.run("kadmin.local", "-r", REALM, "-q", f"addprinc -randkey {principal}@{REALM}")
        self.run("kadmin.local", "-r", REALM, "-q", f"ktadd -k {file} {principal}@{REALM}")
        return file


@pytest.fixture(scope="module")
def realm(tmp_path_factory: pytest.TempPathFactory) -> Generator[Realm]:
    """Runs until the end of the tests."""
    folder = tmp_path_factory.mktemp("kerberos")
    (port,) = free_ports(1)
    realm = Realm(folder, folder / "krb5.conf")
    realm.configuration.write_text(
        f"[libdefaults]\ndefault_realm = {REALM}\ndns_canonicalize_hostname = false\nrdns = false\n"
        f"dns_lookup_kdc = false\n[realms]\n{REALM} = {{\nkdc = 127.0.0.1:{port}\n}}\n"
    )
    (folder / "kdc.conf").write_text(
        f"[kdcdefaults]\nkdc_listen = 127.0.0.1:{port}\nkdc_tcp_listen = 127.0.0.1:{port}\n[realms]\n{REALM} = {{\n"
        f"database_name = {folder}/principal\nkey_stash_file = {folder}/stash\nacl_file = {folder}/acl\n}}\n"
    )
    realm.run("kdb5_util", "create", "-r", REALM, "-s", "-P", "of these tests only")
    program = shutil.which("krb5kdc", path="/usr/sbin:/usr/bin") or "krb5kdc"
    centre = subprocess.Popen([program, "-n"], env=realm.environment, stderr=subprocess.DEVNULL)
    yield realm
    centre.terminate()
    centre.wait()


@dataclass(frozen=True)
class KerberosKafka:
    """A broker that takes tickets."""

    settings: KafkaSettings
    topics: TopicFactory


@pytest.fixture(scope="module")
def kafka(realm: Realm) -> Generator[KerberosKafka]:
    """Its clients have a keytab in their environment."""
    plain, controller, login = free_ports(3)
    broker, client = realm.keytab("kafka/localhost"), realm.keytab("kitchen")
    options = KafkaOptions(port=plain, properties=properties((plain, controller, login), broker))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JDK_JAVA_OPTIONS", f"-Djava.security.krb5.conf={realm.configuration}")
        patch.setenv("KRB5_CONFIG", str(realm.configuration))
        patch.setenv("KRB5_CLIENT_KTNAME", str(client))
        patch.setenv("KRB5CCNAME", f"FILE:{realm.folder}/tickets")
        with start_kafka(options) as server:
            yield KerberosKafka(kerberos(f"localhost:{login}"), TopicFactory(server))


def kerberos(address: str, service: str = "kafka") -> KafkaSettings:
    """Log in with a ticket."""
    security = KafkaSecurity(
        protocol=SecurityProtocol.SASL_PLAINTEXT, mechanism=SaslMechanism.GSSAPI, kerberos_service=service
    )
    return KafkaSettings(address, security, connect_timeout=30.0)


def properties(ports: tuple[int, ...], keytab: Path) -> dict[str, str]:
    """The broker's listeners, and its own key."""
    plain, controller, login = ports
    listener = "listener.name.login"
    return {
        "listeners": f"PLAINTEXT://127.0.0.1:{plain},CONTROLLER://127.0.0.1:{controller},LOGIN://localhost:{login}",
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,LOGIN:SASL_PLAINTEXT",
        "controller.quorum.bootstrap.servers": f"127.0.0.1:{controller}",
        "inter.broker.listener.name": "PLAINTEXT",
        f"{listener}.sasl.enabled.mechanisms": "GSSAPI",
        f"{listener}.sasl.kerberos.service.name": "kafka",
        f"{listener}.gssapi.sasl.jaas.config": (
            "com.sun.security.auth.module.Krb5LoginModule required useKeyTab=true storeKey=true "
            f'keyTab="{keytab}" principal="kafka/localhost@{REALM}";'
        ),
    }


@has_kerberos
async def test_a_ticket_opens_the_broker(kafka: KerberosKafka) -> None:
    """It is fetched with the keytab of the environment."""
    async with AiokafkaProducer(kafka.settings) as producer:
        topic = kafka.topics("kerberos")
        assert (await producer.send(OutgoingRecord(topic, b"in"))).topic == topic


@has_kerberos
async def test_a_broker_that_kerberos_does_not_know(kafka: KerberosKafka) -> None:
    """The sentence names the mechanism, the principal and the setting."""
    producer = AiokafkaProducer(kerberos(kafka.settings.bootstrap_servers, "stranger"))
    with pytest.raises(AccessDeniedError, match=r"GSSAPI .*stranger/HOST.*KALLBACK_KAFKA_SASL_KERBEROS_SERVICE"):
        await producer.start()
    await producer.stop()


async def test_a_client_without_kerberos_says_what_to_build() -> None:
    """Before anything is connected."""
    with pytest.raises(MissingExtraError, match="pip install --no-binary confluent-kafka"):
        await ConfluentProducer(kerberos("localhost:1")).start()
