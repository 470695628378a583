"""Servers of our own: they keep ports and data through a kill, and leave nothing behind."""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from confluent_kafka.admin import AdminClient

from kallback.testing import (
    KafkaOptions,
    NoServerError,
    RestateOptions,
    ServerStartError,
    TopicFactory,
    start_kafka,
    start_restate,
)
from kallback.testing.servers import restate
from kallback.testing.servers.kafka import KafkaProbe
from kallback.testing.servers.ports import accepts, is_free

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kallback.testing import KafkaServer

pytestmark = [pytest.mark.integration, pytest.mark.local_servers]


@pytest.fixture(scope="module")
def own_kafka() -> Iterator[KafkaServer]:
    """A Kafka that these tests may kill."""
    try:
        with start_kafka(KafkaOptions(embedded=False)) as server:
            yield server
    except NoServerError as error:
        pytest.skip(str(error))


def _port(server: KafkaServer) -> int:
    return int(server.bootstrap_servers.rpartition(":")[2])


def test_a_killed_kafka_comes_back_with_its_topics(own_kafka: KafkaServer) -> None:
    """Port and data survive kill -9."""
    topic = TopicFactory(own_kafka)("survivor")
    address = own_kafka.bootstrap_servers

    own_kafka.kill()
    assert is_free(_port(own_kafka))
    own_kafka.start()

    assert own_kafka.bootstrap_servers == address
    assert topic in AdminClient({"bootstrap.servers": address}).list_topics(timeout=10).topics


def test_a_paused_kafka_is_silent_until_it_is_resumed(own_kafka: KafkaServer) -> None:
    """A frozen broker still accepts connections but answers nobody."""
    probe = KafkaProbe(own_kafka.bootstrap_servers)

    own_kafka.pause()
    try:
        assert accepts(_port(own_kafka))
        assert not probe.answers()
    finally:
        own_kafka.resume()

    deadline = time.monotonic() + 60
    while not probe.answers():
        assert time.monotonic() < deadline, "waited 60 s for the resumed broker"


def test_unknown_topics_are_not_made(own_kafka: KafkaServer) -> None:
    """A missing topic is an error to show, so the broker must not make it."""
    found = AdminClient({"bootstrap.servers": own_kafka.bootstrap_servers}).list_topics("no-such-topic", timeout=10)

    assert found.topics["no-such-topic"].error is not None


def test_a_wrong_kafka_property_shows_in_the_error() -> None:
    """A broker that does not start says why."""
    options = KafkaOptions(properties={"num.network.threads": "many"}, embedded=False)

    with pytest.raises(ServerStartError, match=r"num\.network\.threads"), start_kafka(options):
        pass


def test_a_killed_restate_comes_back_on_its_ports() -> None:
    """Ports survive kill -9; the directory goes at the end."""
    with start_restate() as server:
        urls = (server.ingress_url, server.admin_url)
        folder = Path(server.description.rpartition(", ")[2].rstrip(")"))
        server.kill()
        server.start()

        assert (server.ingress_url, server.admin_url) == urls
        assert folder.exists()

    assert not folder.exists()


def test_a_kept_directory_stays() -> None:
    """With `keep` the data and the log can be looked at afterwards."""
    with start_restate(RestateOptions(keep=True)) as server:
        folder = Path(server.description.rpartition(", ")[2].rstrip(")"))

    assert (folder / "restate.log").read_text()
    shutil.rmtree(folder)


def test_a_wrong_restate_setting_shows_in_the_error() -> None:
    """A server that refuses its configuration says why."""
    options = RestateOptions(configuration={"worker.invoker.inactivity-timeout": "soon"})

    with pytest.raises(ServerStartError, match="inactivity-timeout") as failure, start_restate(options):
        pass

    assert failure.value.log is not None
    assert "inactivity-timeout" in failure.value.log.read_text()
    failure.value.log.unlink()


def test_wrong_addresses_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """A given server that does not answer is an error with its address."""
    monkeypatch.setattr(restate, "ANSWER_TIMEOUT_S", 0.0)
    given = RestateOptions(ingress_url="http://127.0.0.1:9", admin_url="http://127.0.0.1:9")

    with pytest.raises(ServerStartError, match=r"No Restate answers on http://127\.0\.0\.1:9"), start_restate(given):
        pass
