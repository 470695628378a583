"""`kallback.testing.containers`: the seams of servers, kept by containers."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Generator

import pytest
import restate
from confluent_kafka.admin import AdminClient
from tests.containers.compose import docker

from kallback.testing import Ingress, ServerStartError, TopicFactory, eventually, serve_endpoint, start_stack
from kallback.testing.containers import ApacheKafkaContainer, RestateServerContainer
from kallback.testing.errors import NoServerError

pytestmark = pytest.mark.containers

greeter = restate.Service("ContainerGreeter")


@greeter.handler()
async def hello(ctx: restate.Context, name: str) -> str:  # noqa: ARG001 - the shape of a handler
    """Say hello."""
    return f"hello {name}"


@pytest.fixture(scope="module")
def own_kafka() -> Generator[ApacheKafkaContainer]:
    """A Kafka that these tests may kill."""
    with ApacheKafkaContainer() as server:
        yield server


@pytest.mark.parametrize("end", ["kill", "stop"])
def test_kafka_keeps_address_and_topics(own_kafka: ApacheKafkaContainer, end: str) -> None:
    """Docker would give a container that is started again another port; ours has chosen its own."""
    topic, address = TopicFactory(own_kafka)("survivor"), own_kafka.bootstrap_servers
    getattr(own_kafka, end)()
    getattr(own_kafka, end)()
    own_kafka.start()
    assert own_kafka.bootstrap_servers == address
    assert topic in AdminClient({"bootstrap.servers": address}).list_topics(timeout=10).topics


async def test_a_paused_kafka_is_silent_until_it_is_resumed(own_kafka: ApacheKafkaContainer) -> None:
    """Pausing twice is fine, and so is resuming."""
    own_kafka.pause()
    own_kafka.pause()
    assert not own_kafka.answers()
    own_kafka.resume()
    own_kafka.resume()
    await eventually("the resumed broker", own_kafka.answers)


async def test_restate_keeps_its_services_and_reaches_them(restate_container: RestateServerContainer) -> None:
    """A service in this process is called from the container, before and after the server was killed."""
    async with (
        serve_endpoint(restate.app([greeter]), restate_container),
        Ingress(restate_container.ingress_url) as ingress,
    ):
        assert await ingress.call("ContainerGreeter/hello", "you") == "hello you"
        restate_container.kill()
        restate_container.start()
        assert await ingress.call("ContainerGreeter/hello", "again") == "hello again"


def test_what_is_closed_is_gone() -> None:
    """No container and no volume stays."""
    with RestateServerContainer() as server:
        identity = server.get_container_id()
        assert identity in docker("ps", "--quiet", "--no-trunc")
    assert identity not in docker("ps", "--all", "--quiet", "--no-trunc")


def test_a_wrong_setting_shows_in_the_error() -> None:
    """A server that refuses its configuration says why."""
    with (
        pytest.raises(ServerStartError, match=r"num\.network\.threads"),
        ApacheKafkaContainer(properties={"num.network.threads": "many"}),
    ):
        pass


def test_an_image_that_cannot_be_had_is_named() -> None:
    """The sentence says which, and what to do."""
    with pytest.raises(NoServerError, match=r"local/no-such-image:1.*load or build"):
        RestateServerContainer("local/no-such-image:1").start()


def test_start_stack_takes_containers_if_told_so() -> None:
    """The environment decides, so that one suite runs on both."""
    with start_stack(environ={"KALLBACK_TEST_SERVERS": "containers"}) as stack:
        assert isinstance(stack.kafka, ApacheKafkaContainer)
        assert isinstance(stack.restate, RestateServerContainer)
        assert stack.restate.services_host == "host.docker.internal"


_DIES = """
import os, signal
from kallback.testing.containers import RestateServerContainer
server = RestateServerContainer().start()
print(server.get_container_id(), flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_process_that_is_killed_leaves_no_container() -> None:
    """The watchdog removes it, where testcontainers' Ryuk cannot be had too."""
    died = subprocess.run([sys.executable, "-c", _DIES], capture_output=True, text=True, timeout=60, check=False)
    identity, deadline = died.stdout.strip(), time.monotonic() + 60
    assert identity, died.stderr
    while identity in docker("ps", "--all", "--quiet", "--no-trunc"):
        assert time.monotonic() < deadline, "waited 60 s for the container to go"
        time.sleep(0.2)
