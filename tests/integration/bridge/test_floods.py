"""A flood of forged results on real servers: good results go first, and each forged one is accounted for."""

from __future__ import annotations

import asyncio

import pytest
from tests.integration.bridge.environment import ResultsTopic

from kallback.kafka import DeadLetter, Position, read_entry
from kallback.protocol import Keyring

pytestmark = pytest.mark.integration

FORGER = Keyring({"k1": b"f" * 32})
FORGED = 6_000


async def test_a_good_result_behind_a_flood_is_delivered_and_the_flood_is_counted(results: ResultsTopic) -> None:
    """Few dead letters speak of all forged records, each of them once; their offsets are done."""
    forged: set[Position] = set()
    for _ in range(FORGED // 500):
        forged |= set(await asyncio.gather(*(results.complete(results.sign(keyring=FORGER)) for _ in range(500))))
    waiting = await results.waiting_handler()
    await results.complete(waiting.token)
    async with results.bridge():
        assert (await waiting.envelope())["status"] == "completed"
        await results.settle(FORGED + 1)
    letters = list(map(read_entry, await results.read(results.settings.topics.dead_letters)))
    positions = [position for letter in letters for position in counted(letter)]
    assert (len(positions), set(positions), await results.lag()) == (FORGED, forged, 0)
    assert len(letters) < FORGED // 2


def counted(entry: object) -> list[Position]:
    """The positions of the records that a dead letter stands for."""
    assert isinstance(entry, DeadLetter)
    if entry.summary is None:
        return [entry.source]
    topic = entry.source.topic
    return [Position(topic, each.partition, at) for each in entry.summary.ranges for at in range(each.first, each.end)]
