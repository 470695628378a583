"""Bridges that come and go while Restate does not answer."""

from __future__ import annotations

import dataclasses
from uuid import uuid4

import pytest
from tests.integration.bridge.environment import ResultsTopic, with_restate

from kallback.bridge import Bridge, BridgeOptions, Client
from kallback.testing import Stack, eventually

pytestmark = pytest.mark.integration


def shared(first: Bridge, second: Bridge) -> bool:
    """Whether each of two bridges has two of four partitions."""
    statuses = (first.group_status(), second.group_status())
    return [0 if each is None else len(each.partitions) for each in statuses] == [2, 2]


RESULTS = 2_800
"""More than one bridge buffers of four partitions, and leaves in flight."""


@pytest.mark.parametrize(
    ("named", "client"),
    [(False, Client.CONFLUENT), (True, Client.CONFLUENT), (False, Client.AIOKAFKA)],
    ids=["without-names", "named", "aiokafka"],
)
async def test_two_bridges_an_outage_and_a_scale_in_leave_no_result_unread(
    results: ResultsTopic, kallback_stack: Stack, *, named: bool, client: Client
) -> None:
    """Partitions that are held full leave for the second bridge and come back: each of their results is delivered."""
    impatient = dataclasses.replace(with_restate(results, request_timeout=1.0), client=client)

    def options() -> BridgeOptions:
        standard = BridgeOptions(partition_in_flight=100, drain_timeout=2.0)
        name = f"bridge-{uuid4().hex[:8]}" if named else None
        member = dataclasses.replace(
            standard.consumer, group_instance_id=name, session_timeout=6.0, drain_timeout=1.0, buffer_records=200
        )
        return dataclasses.replace(standard, consumer=member)

    async def all_committed() -> bool:
        return await results.lag() == 0

    async with impatient.bridge(options()) as first:
        try:
            kallback_stack.restate.pause()
            await results.fill(RESULTS)
            await eventually("an outage", lambda: first.stats.unavailable)
            async with impatient.bridge(options()) as second:
                await eventually("its share", lambda: shared(first, second))
        finally:
            kallback_stack.restate.resume()
        await results.settle(RESULTS, timeout=90)
        await eventually("all commits", all_committed)
    assert set(results.outcomes()) <= {"delivered", "duplicate"}
