"""What deploy/access.py allows the console and the gateway: it is enough, and each line of it is needed."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Generator

import pytest
from confluent_kafka.admin import AclOperation
from deploy import access
from tests.integration.guarded_kafka import GROUP, TOPIC, Guarded, guarded_kafka

from kallback.cli.console.sources import ServerSources
from kallback.gateway import Gateway, GatewayOptions
from kallback.kafka import ConfluentConsumer, ConfluentProducer, OutgoingRecord, Position
from kallback.protocol import AccessDeniedError
from kallback.settings import KeySettings, Settings, Topics
from kallback.web import ServerOptions

pytestmark = [pytest.mark.integration, pytest.mark.local_servers]
TOPICS = Topics()
TASK_TOPICS = ("restaurant.prepare", "bakery.bake")
BRIDGE = f"{TOPICS.results}.bridge"
KINDS = {"TOPIC": TOPIC, "GROUP": GROUP}


@pytest.fixture(scope="module")
def guarded() -> Generator[Guarded]:
    """A Kafka with the topics of the example, on which alice is console and gateway."""
    with guarded_kafka() as server:
        server.topics.make([*TOPICS.all(), *TASK_TOPICS])
        asyncio.run(_make_group(server))
        yield server


async def _make_group(server: Guarded) -> None:
    """A bridge has read a result."""
    async with ConfluentProducer(server.ours) as producer:
        await producer.send(OutgoingRecord(TOPICS.results, b"{}"))
    async with ConfluentConsumer(server.ours, [TOPICS.results], BRIDGE) as consumer:
        while not (records := await consumer.fetch(1, 1.0)):
            pass
        consumer.done(records[0])


def allow(guarded: Guarded, user: str) -> list[access.Permission]:
    """Give alice what this user has."""
    rows = [each for each in access.ACCESS if each.user == user]
    for name, kind in {(each.name, each.kind) for each in rows}:
        wanted = [AclOperation[each.operation] for each in rows if (each.name, each.kind) == (name, kind)]
        guarded.allow(KINDS[kind], name, *wanted)
    return rows


def settings(guarded: Guarded) -> Settings:
    """Those of alice."""
    return Settings(kafka=guarded.hers, keys=KeySettings(insecure=True))


async def written(guarded: Guarded, topic: str) -> None:
    """Write what a change writes."""
    async with ConfluentProducer(guarded.hers) as producer:
        await producer.send(OutgoingRecord(topic, b"{}"))


Look = Callable[[Guarded, ServerSources], Awaitable[object]]
LOOKS: dict[tuple[str, str], list[Look]] = {
    **{
        ("TOPIC", topic): [lambda _, sources, topic=topic: sources.record(Position(topic, 0, 0))]  # type: ignore[misc]
        for topic in TASK_TOPICS
    },
    ("TOPIC", TOPICS.outcomes): [lambda _, sources: sources.outcomes()],
    ("TOPIC", TOPICS.dead_letters): [
        lambda _, sources: sources.letters(),
        lambda guarded, _: written(guarded, TOPICS.dead_letters),
    ],
    ("TOPIC", TOPICS.results): [
        lambda _, sources: sources.traffic(),
        lambda guarded, _: written(guarded, TOPICS.results),
    ],
    ("TOPIC", TOPICS.control): [lambda guarded, _: written(guarded, TOPICS.control)],
}
"""What the console does with a resource."""


@pytest.mark.parametrize("kind_and_name", LOOKS, ids=" ".join)
async def test_the_console_may_do_what_the_table_says(guarded: Guarded, kind_and_name: tuple[str, str]) -> None:
    """All of it; without the lines of a resource, what it does there is refused."""
    rows, (kind, name) = allow(guarded, "console"), kind_and_name
    assert {(row.kind, row.name) for row in rows} - {("GROUP", BRIDGE)} == LOOKS.keys()
    async with ServerSources(settings(guarded)) as sources:
        for look in LOOKS[kind, name]:
            await look(guarded, sources)
        guarded.forbid(KINDS[kind], name)
        for look in LOOKS[kind, name]:
            with pytest.raises(AccessDeniedError):
                await look(guarded, sources)


async def test_the_lag_needs_the_group(guarded: Guarded) -> None:
    """Without it the other figures are there."""
    allow(guarded, "console")
    async with ServerSources(settings(guarded)) as sources:
        known = await sources.traffic()
        guarded.forbid(GROUP, BRIDGE)
        unknown = await sources.traffic()
    assert known.lag is not None
    assert (unknown.results, unknown.lag) == (known.results, None)


@pytest.mark.parametrize("name", [TOPICS.results, TOPICS.progress])
async def test_the_gateway_may_do_what_the_table_says(guarded: Guarded, name: str) -> None:
    """It starts; without a line it does not."""
    options = GatewayOptions(server=ServerOptions(port=0))
    rows = allow(guarded, "gateway")
    assert {row.name for row in rows} == {TOPICS.results, TOPICS.progress}
    async with Gateway(settings(guarded), options):
        pass
    guarded.forbid(TOPIC, name)
    with pytest.raises(AccessDeniedError):
        await Gateway(settings(guarded), options).start()
