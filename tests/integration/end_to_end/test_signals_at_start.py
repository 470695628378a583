"""SIGTERM while a worker or a bridge starts: the process ends by itself, whatever it waits for."""

from __future__ import annotations

import asyncio
import base64
import os
import sys
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from uuid import uuid4

import pytest
from tests.integration.kafka_gate import KafkaGate, Request, gated_kafka

from kallback.kafka import ClientName, ConfluentProducer, OutgoingRecord
from kallback.protocol import Cancel, CancelReason, TaskId
from kallback.settings import KafkaSettings, Topics
from kallback.testing import KafkaServer, RestateServer, TopicFactory

pytestmark = [pytest.mark.integration, pytest.mark.local_servers]

KITCHEN = Path(__file__).parents[1] / "workers"
NEVER = "600"
"""Seconds that a start waits for a server; the tests wait less."""
CLIENTS: tuple[ClientName, ...] = ("confluent", "aiokafka")
both_clients = pytest.mark.parametrize("client", CLIENTS)
STARTING = [each for each in Request if each is not Request.OFFSET_COMMIT]
"""What is asked at a start; commits follow when something is done."""
in_each_phase = pytest.mark.parametrize("phase", STARTING, ids=lambda phase: phase.name.lower())


class Place:
    """Topics and groups on a broker behind a gate, and the environment of processes that use them."""

    def __init__(self, server: KafkaServer, gate: KafkaGate) -> None:
        self.gate = gate
        self.topics = Topics(prefix=f"kallback-{uuid4().hex[:8]}.")
        self.kitchen = f"{self.topics.prefix}kitchen"
        TopicFactory(server).make([*self.topics.all(), *(f"{self.kitchen}.{client}" for client in CLIENTS)])

    def environment(self, client: ClientName, **more: str) -> dict[str, str]:
        """Every server may take as long as it likes."""
        return os.environ | {
            "KALLBACK_KAFKA_BOOTSTRAP_SERVERS": self.gate.address,
            "KALLBACK_KAFKA_CONNECT_TIMEOUT": NEVER,
            "KALLBACK_KAFKA_CLIENT_ID": client,
            "KALLBACK_TOPICS_PREFIX": self.topics.prefix,
            "KALLBACK_KEYS": "k1:" + base64.b64encode(os.urandom(32)).decode(),
            **more,
        }

    async def write_history(self) -> None:
        """Put a cancel on the control topic: a worker reads it before it takes tasks."""
        cancel = Cancel(TaskId("t1"), CancelReason.CANCELLED, 0, None, None)
        async with ConfluentProducer(KafkaSettings(self.gate.address)) as producer:
            await producer.send(OutgoingRecord(self.topics.control, cancel.encode()))


@pytest.fixture(scope="module")
def gated_server() -> Generator[tuple[KafkaServer, KafkaGate]]:
    """One for all tests."""
    with gated_kafka() as server_and_gate:
        yield server_and_gate


@pytest.fixture
async def place(gated_server: tuple[KafkaServer, KafkaGate]) -> Place:
    """Groups of its own: a process whose requests are held cannot leave its group, and the next one would wait."""
    server, gate = gated_server
    gate.hold(None)
    place = Place(server, gate)
    await place.write_history()
    return place


@asynccontextmanager
async def silent_server() -> AsyncGenerator[tuple[str, asyncio.Event]]:
    """An address that accepts connections and answers nothing; the event says that one was made."""
    reached = asyncio.Event()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        reached.set()
        with suppress(OSError):
            await reader.read()
        writer.close()

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", reached
    finally:
        server.close()


class Starting:
    """A process of the command that starts."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process

    async def ends_at_sigterm(self) -> str:
        """Send the signal; return what it said, once it has ended well."""
        self.process.terminate()
        async with asyncio.timeout(90):
            _, said = await self.process.communicate()
        assert (self.process.returncode, "Traceback" in said.decode()) == (0, False), said.decode()
        return said.decode()


@asynccontextmanager
async def starting(environment: dict[str, str], *command: str) -> AsyncGenerator[Starting]:
    """Start the command; it is killed if it is still there at the end."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "kallback.cli", *command),
        cwd=KITCHEN,
        env=environment,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        yield Starting(process)
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()


async def ends_in_phase(place: Place, client: ClientName, environment: dict[str, str], *command: str) -> None:
    """Start the command with this client, and stop it when its request is held."""
    async with starting(environment, *command, "--client", client) as process:
        await place.gate.met(client)
        await process.ends_at_sigterm()


@in_each_phase
async def test_a_worker_ends_whatever_request_is_not_answered(place: Place, phase: Request) -> None:
    """From the first contact, over the history of the control topic, to its place in the group; with both clients."""
    place.gate.hold(phase)
    async with asyncio.TaskGroup() as group:
        for client in CLIENTS:
            environment = place.environment(client, KITCHEN=f"{place.kitchen}.{client}")
            group.create_task(ends_in_phase(place, client, environment, "worker", "kitchen:worker"))


@in_each_phase
async def test_a_bridge_ends_whatever_request_is_not_answered(
    place: Place, restate_server: RestateServer, phase: Request
) -> None:
    """From the first contact to its first fetch; with both clients."""
    place.gate.hold(phase)
    async with asyncio.TaskGroup() as group:
        for client in CLIENTS:
            environment = place.environment(
                client,
                KALLBACK_RESTATE_INGRESS_URL=restate_server.ingress_url,
                KALLBACK_RESTATE_ADMIN_URL=restate_server.admin_url,
            )
            group.create_task(
                ends_in_phase(place, client, environment, "bridge", "--group", f"{place.kitchen}.{client}")
            )


@both_clients
async def test_a_bridge_ends_while_restate_does_not_answer(place: Place, client: ClientName) -> None:
    """It asks for Restate's version before anything else."""
    place.gate.hold(None)
    async with silent_server() as (address, reached):
        environment = place.environment(
            client,
            KALLBACK_RESTATE_INGRESS_URL=address,
            KALLBACK_RESTATE_ADMIN_URL=address,
            KALLBACK_RESTATE_REQUEST_TIMEOUT=NEVER,
        )
        async with starting(environment, "bridge", "--client", client) as bridge:
            await asyncio.wait_for(reached.wait(), 60)
            await bridge.ends_at_sigterm()
