"""Batches of results that no client can read: stubs name their offsets, and good results pass."""

from __future__ import annotations

import asyncio

import pytest
from tests.integration.bridge.environment import ResultsTopic, both_clients
from tests.integration.unreadable_records import RECORDS_OF_A_BATCH, send_too_large_a_batch

from kallback.bridge import Client
from kallback.kafka import DeadLetter, read_entry
from kallback.protocol import Outcome

pytestmark = pytest.mark.integration

BATCHES = 3


@both_clients
async def test_damaged_batches_in_a_row_are_stepped_over(results: ResultsTopic) -> None:
    """With librdkafka their common end is found: one stub for all. With aiokafka each of them is a stub."""
    topic = results.settings.topics.results
    alone = [(number * RECORDS_OF_A_BATCH, RECORDS_OF_A_BATCH) for number in range(BATCHES)]
    stubs = alone if results.client is Client.AIOKAFKA else [(0, BATCHES * RECORDS_OF_A_BATCH)]
    for _ in range(BATCHES):
        await asyncio.to_thread(send_too_large_a_batch, results.settings.kafka.bootstrap_servers, topic)
    waiting = await results.waiting_handler()
    await results.complete(waiting.token)
    async with results.bridge():
        await results.settle(len(stubs) + 1, timeout=100)
    assert await waiting.envelope()
    letters = [read_entry(record) for record in await results.read(results.settings.topics.dead_letters)]
    found = {each.source.offset: each.detail for each in letters if isinstance(each, DeadLetter)}
    assert sorted(found) == [first for first, _ in stubs]
    assert all(str(count) in found[first] for first, count in stubs)
    assert results.outcomes()[Outcome.DELIVERED] == 1
    assert await results.lag() == 0
