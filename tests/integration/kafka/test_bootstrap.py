"""One bootstrap server of several that is dead or silent delays no start."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import asynccontextmanager

import pytest

from kallback.kafka import (
    AiokafkaConsumer,
    AiokafkaProducer,
    AiokafkaReader,
    ConfluentConsumer,
    ConfluentProducer,
    ConfluentReader,
    check_topics,
    compare_topics,
    create_topics,
)
from kallback.kafka.aiokafka.membership.committed_offsets import commits_of
from kallback.kafka.aiokafka.topics import check_topics as aiokafka_check_topics
from kallback.kafka.records import TopicPartition
from kallback.kafka.topics import TopicSpec
from kallback.lifecycle import StartStop
from kallback.protocol.errors import ConfigurationError, KafkaUnavailableError
from kallback.settings import KafkaSettings
from kallback.testing.topics import TopicFactory

pytestmark = pytest.mark.integration

TOPIC = "bootstrap"
STARTS_S = 30.0
"""Less than the 40 s that aiokafka itself gives each server."""
Make = Callable[[KafkaSettings, str], StartStop]
CLIENTS: dict[str, Make] = {
    "confluent-producer": lambda settings, _: ConfluentProducer(settings),
    "aiokafka-producer": lambda settings, _: AiokafkaProducer(settings),
    "confluent-consumer": lambda settings, topic: ConfluentConsumer(settings, [topic], "g"),
    "aiokafka-consumer": lambda settings, topic: AiokafkaConsumer(settings, [topic], "g"),
    "confluent-reader": ConfluentReader,
    "aiokafka-reader": AiokafkaReader,
}


@pytest.fixture
def silent() -> Generator[str]:
    """A server that accepts connections and never answers."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}"


@pytest.fixture
def dead() -> str:
    """An address where nothing listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return f"127.0.0.1:{server.getsockname()[1]}"


@pytest.mark.parametrize("make", CLIENTS.values(), ids=CLIENTS)
async def test_eight_starts_of_eight_are_not_delayed(
    make: Make, silent: str, dead: str, kafka_settings: KafkaSettings, topics_factory: TopicFactory
) -> None:
    """Whichever of the servers a client asks first."""
    topic = topics_factory(TOPIC)
    servers = f"{silent},{dead},{kafka_settings.bootstrap_servers}"
    for _ in range(8):
        client = make(KafkaSettings(servers, connect_timeout=STARTS_S), topic)
        await client.start()
        await client.stop()


async def test_topics_are_checked_and_created_past_a_silent_server(
    silent: str, kafka_settings: KafkaSettings, topics_factory: TopicFactory
) -> None:
    """What the commands do, and what a worker asks at each rebalance."""
    topic = topics_factory(TOPIC)
    settings = KafkaSettings(f"{silent},{kafka_settings.bootstrap_servers}", connect_timeout=STARTS_S)
    async with asyncio.timeout(6 * STARTS_S):
        await check_topics(settings, [topic])
        await aiokafka_check_topics(settings, [topic])
        await compare_topics(settings, [TopicSpec(topic)])
        await create_topics(settings, [TopicSpec(topic)])
        assert await commits_of(settings, "nobody", [TopicPartition(topic, 0)]) == {}


@asynccontextmanager
async def about_to_listen(kafka: str, closed: int) -> AsyncGenerator[str]:
    """A server that closes a number of connections before it passes on those that follow."""
    host, port = kafka.split(",", maxsplit=1)[0].rsplit(":", 1)
    left = closed
    copying: set[asyncio.Task[None]] = set()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal left
        left -= 1
        if left >= 0:
            writer.close()
            return
        from_kafka, to_kafka = await asyncio.open_connection(host, int(port))
        copying.add(asyncio.create_task(copy(reader, to_kafka)))
        copying.add(asyncio.create_task(copy(from_kafka, writer)))

    async def copy(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await source.read(65_536):
                target.write(data)
        target.close()

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    try:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        for task in copying:
            task.cancel()
        await asyncio.gather(*copying, return_exceptions=True)


@pytest.mark.parametrize("make", CLIENTS.values(), ids=CLIENTS)
async def test_a_kafka_that_is_about_to_listen_is_waited_for(
    make: Make, kafka_settings: KafkaSettings, topics_factory: TopicFactory
) -> None:
    """A broker that starts anew ends no start, whichever the client."""
    topic = topics_factory(TOPIC)
    async with about_to_listen(kafka_settings.bootstrap_servers, closed=4) as server:
        client = make(KafkaSettings(server, connect_timeout=STARTS_S), topic)
        await client.start()
        await client.stop()


@pytest.fixture
async def web_server() -> AsyncGenerator[str]:
    """What answers every request as a bad one."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            await reader.read(4)
            writer.write(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n")
            await writer.drain()
            writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    server.close()


@pytest.mark.parametrize("make", CLIENTS.values(), ids=CLIENTS)
async def test_a_web_server_is_no_broker_that_is_away(make: Make, web_server: str) -> None:
    """It will never be one: the sentence names the address, and nothing is waited for."""
    client = make(KafkaSettings(web_server, connect_timeout=STARTS_S), TOPIC)
    with pytest.raises(ConfigurationError, match=rf"{web_server} is a web server and no broker.*KALLBACK_KAFKA_BOO"):
        await client.start()
    await client.stop()


@pytest.mark.parametrize("make", CLIENTS.values(), ids=CLIENTS)
@pytest.mark.parametrize(
    ("server", "reason"), [("dead", "[Cc]onnect.*(refused|failed)"), ("kafka.invalid:9092", "[Nn]ame")]
)
async def test_the_only_server_that_is_away_is_told_with_the_reason(
    make: Make, dead: str, server: str, reason: str
) -> None:
    """Which the system gives: a name that is not known is not mended by waiting."""
    at = dead if server == "dead" else server
    client = make(KafkaSettings(at, connect_timeout=2), TOPIC)
    with pytest.raises(KafkaUnavailableError, match=rf"{at}: .*{reason}.*KALLBACK_KAFKA_BOO"):
        await client.start()
    await client.stop()


@pytest.mark.parametrize("make", CLIENTS.values(), ids=CLIENTS)
async def test_the_error_says_of_each_server_what_became_of_it(make: Make, silent: str, dead: str) -> None:
    """The silent one did not answer, the dead one refused."""
    client = make(KafkaSettings(f"{silent},{dead}", connect_timeout=2), TOPIC)
    with pytest.raises(KafkaUnavailableError, match=rf"{silent}: no answer; {dead}: .*[Cc]onnect.*KALLBACK_KAFKA_BOO"):
        await client.start()
    await client.stop()
