"""Late results go to a real handler: once, whole, and the offset is done only then."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import replace
from typing import Any

import pytest
import restate
from tests.integration.bridge.environment import ResultsTopic, with_restate

from kallback.bridge import BridgeOptions
from kallback.bridge.results.late_policy import read_policies
from kallback.protocol import ConfigurationError
from kallback.testing import RestateServer
from kallback.testing.clients.service_endpoint import serve_endpoint
from kallback.testing.polling import eventually

pytestmark = pytest.mark.integration

taken: list[tuple[str, dict[str, Any]]] = []
"""What the handler was given, with the invocation's id."""

orphans = restate.Service("BridgeOrphans")


@orphans.handler()
async def take(ctx: restate.Context, result: dict[str, Any]) -> None:
    """Keep it."""
    taken.append((ctx.request().id, result))


@pytest.fixture(scope="module")
async def orphans_service(restate_server: RestateServer) -> AsyncGenerator[None]:
    """The service above, registered with the shared Restate."""
    async with serve_endpoint(restate.app([orphans]), restate_server):
        yield


def options(policy: str) -> BridgeOptions:
    """A bridge's options with this late policy."""
    return BridgeOptions(late=read_policies([policy]))


async def test_a_late_result_reaches_the_handler(results: ResultsTopic, orphans_service: None) -> None:  # noqa: ARG001 - it has to be there
    """With all that it needs to know, and no dead letter."""
    token = results.token(deadline=-60)
    await results.complete(token, b'{"n":12345678901234567890}')
    async with results.bridge(options("handler:BridgeOrphans/take")):
        await results.settle(1)
        found = await eventually("the handler", lambda: [it for _, it in taken if it["task"] == token.task_id])

    (body,) = found
    assert (body["status"], body["value"], body["type"]) == (
        "completed",
        {"n": 12345678901234567890},
        "kitchen.prepare",
    )
    assert (body["attempt"], body["deadline"]) == (1, token.deadline_ms)
    assert [(it.outcome, it.reason) for it in results.settled] == [("late", "late-handled")]
    assert (await results.dead_letters(), await results.lag()) == ({}, 0)


async def test_duplicates_make_one_invocation(results: ResultsTopic, orphans_service: None) -> None:  # noqa: ARG001
    """The idempotency key is the attempt's."""
    token = results.token(deadline=-60)
    for _ in range(3):
        await results.complete(token)
    async with results.bridge(options("handler:BridgeOrphans/take")):
        await results.settle(3)
        await eventually("the handler", lambda: any(it["task"] == token.task_id for _, it in taken))

    assert len({invocation for invocation, it in taken if it["task"] == token.task_id}) == 1


async def test_a_handler_that_does_not_exist_is_noticed_at_the_start(results: ResultsTopic) -> None:
    """A typo must not wait for the first late result."""
    with pytest.raises(ConfigurationError, match="no handler BridgeOrphans/tkae"):
        await results.bridge(options("handler:BridgeOrphans/tkae")).start()


async def test_without_the_admin_api_the_first_late_result_tells(results: ResultsTopic) -> None:
    """It waits, and nothing is lost."""
    absent = with_restate(results, admin_url="http://127.0.0.1:9")
    await absent.complete(results.token(deadline=-60))
    async with absent.bridge(replace(options("handler:Nobody/take"), drain_timeout=0.0)) as bridge:
        await eventually("the record", lambda: bridge.stats.in_flight == 1)
    assert (absent.outcomes(), await results.dead_letters(), await results.lag()) == ({}, {}, 1)
