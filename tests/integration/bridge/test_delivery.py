"""Results reach the handlers that wait for them."""

from __future__ import annotations

import asyncio
import json

import pytest
from tests.integration.bridge.environment import ResultsTopic, RunningBridge

from kallback.bridge import BridgeOptions
from kallback.testing.clients.restate import RestateError

pytestmark = pytest.mark.integration


async def test_a_result_resumes_the_handler(running: RunningBridge) -> None:
    """The handler gets the envelope with the worker's bytes; the outcome is on record."""
    waiting = await running.results.waiting_handler(deadline=60)
    position = await running.results.complete(waiting.token, b'{"price": 1.10, "n": 123456789012345678901234567890}')

    raw = await asyncio.wait_for(waiting.answer, 60)

    assert '"value":{"price": 1.10, "n": 123456789012345678901234567890}}' in raw
    outcome = await running.outcome(position)
    assert (outcome["outcome"], outcome["task"], outcome["type"]) == (
        "delivered",
        waiting.token.task_id,
        "kitchen.prepare",
    )


async def test_a_failure_resumes_the_handler(running: RunningBridge) -> None:
    """A failed result travels as a resolved envelope."""
    waiting = await running.results.waiting_handler()
    await running.results.fail(waiting.token, b'{"type":"OutOfStock","status":422,"detail":"no basil"}')

    envelope = await waiting.envelope()

    assert (envelope["status"], envelope["error"]["status"]) == ("failed", 422)


@pytest.mark.parametrize("value", [None, b""])
async def test_an_empty_value_is_null(running: RunningBridge, value: bytes | None) -> None:
    """Work without a result."""
    waiting = await running.results.waiting_handler()
    await running.results.complete(waiting.token, value)
    assert (await waiting.envelope())["value"] is None


async def test_a_foreign_worker_that_cannot_set_headers(running: RunningBridge) -> None:
    """Structured mode carries the token in the value."""
    waiting = await running.results.waiting_handler()
    value = {"kallback": {"version": 1, "token": running.results.sign(waiting.token)}, "data": [1, 2]}
    await running.results.send(json.dumps(value).encode())
    assert (await waiting.envelope())["value"] == [1, 2]


async def test_springs_correlation_id_will_do(running: RunningBridge) -> None:
    """An existing listener that echoes it is a worker as it stands."""
    waiting = await running.results.waiting_handler()
    await running.results.send(b"7", ("kafka_correlationId", running.results.sign(waiting.token).encode()))
    assert (await waiting.envelope())["value"] == 7


async def test_two_megabytes(running: RunningBridge) -> None:
    """A large value arrives whole."""
    waiting = await running.results.waiting_handler()
    value = json.dumps("x" * 2_000_000).encode()
    await running.results.complete(waiting.token, value)
    assert len((await waiting.envelope())["value"]) == 2_000_000


async def test_a_duplicate_is_a_duplicate(running: RunningBridge) -> None:
    """The second of two equal records is on record as such."""
    waiting = await running.results.waiting_handler()
    text = running.results.sign(waiting.token)
    first = await running.results.complete(text)
    await running.outcome(first)
    second = await running.results.complete(text)

    assert (await running.outcome(second))["outcome"] == "duplicate"
    assert (await waiting.envelope())["status"] == "completed"


async def test_a_bare_awakeable_where_it_is_allowed(results: ResultsTopic) -> None:
    """Hand-written handlers get the value itself, or a rejection with the failure's text."""
    good, bad = await results.waiting_handler(), await results.waiting_handler()
    await results.send(b'{"plain":1}', ("kallback-token", good.token.awakeable_id.encode()))
    await results.send(
        b'{"detail":"no basil"}',
        ("kallback-token", bad.token.awakeable_id.encode()),
        ("kallback-status", b"failed"),
    )
    async with results.bridge(BridgeOptions(allow_bare_awakeables=True)):
        await results.settle(2)

    assert await good.envelope() == {"plain": 1}
    with pytest.raises(RestateError, match="no basil"):
        await bad.answer
