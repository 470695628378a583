"""Results reach the handlers that wait for them."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from kallback.bridge import BridgeOptions
from kallback.testing.clients.restate import RestateError
from kallback.testing.polling import eventually

pytestmark = pytest.mark.integration


async def test_a_result_resumes_the_handler(house: Any) -> None:
    """The handler gets the envelope with the worker's bytes; the outcome is on record."""
    waiting = await house.live.waiting(deadline=60)
    position = await house.live.complete(waiting.token, b'{"price": 1.10, "n": 123456789012345678901234567890}')

    raw = await asyncio.wait_for(waiting.answer, 20)

    assert '"value":{"price": 1.10, "n": 123456789012345678901234567890}}' in raw
    outcome = await house.outcome(position)
    assert (outcome["outcome"], outcome["task"], outcome["type"]) == (
        "delivered",
        waiting.token.task_id,
        "kitchen.prepare",
    )


async def test_a_failure_resumes_the_handler(house: Any) -> None:
    """A failed result travels as a resolved envelope."""
    waiting = await house.live.waiting()
    await house.live.fail(waiting.token, b'{"type":"OutOfStock","status":422,"detail":"no basil"}')

    envelope = await waiting.envelope()

    assert (envelope["status"], envelope["error"]["status"]) == ("failed", 422)


@pytest.mark.parametrize("value", [None, b""])
async def test_an_empty_value_is_null(house: Any, value: bytes | None) -> None:
    """Work without a result."""
    waiting = await house.live.waiting()
    await house.live.complete(waiting.token, value)
    assert (await waiting.envelope())["value"] is None


async def test_a_foreign_worker_that_cannot_set_headers(house: Any) -> None:
    """Structured mode carries the token in the value."""
    waiting = await house.live.waiting()
    value = {"kallback": {"version": 1, "token": house.live.sign(waiting.token)}, "data": [1, 2]}
    await house.live.send(json.dumps(value).encode())
    assert (await waiting.envelope())["value"] == [1, 2]


async def test_springs_correlation_id_will_do(house: Any) -> None:
    """An existing listener that echoes it is a worker as it stands."""
    waiting = await house.live.waiting()
    await house.live.send(b"7", ("kafka_correlationId", house.live.sign(waiting.token).encode()))
    assert (await waiting.envelope())["value"] == 7


async def test_two_megabytes(house: Any) -> None:
    """A large value arrives whole."""
    waiting = await house.live.waiting()
    value = json.dumps("x" * 2_000_000).encode()
    await house.live.complete(waiting.token, value)
    assert len((await waiting.envelope())["value"]) == 2_000_000


async def test_a_copy_is_a_duplicate(house: Any) -> None:
    """The second of two equal records is on record as such."""
    waiting = await house.live.waiting()
    text = house.live.sign(waiting.token)
    first = await house.live.complete(text)
    await house.outcome(first)
    second = await house.live.complete(text)

    assert (await house.outcome(second))["outcome"] == "duplicate"
    assert (await waiting.envelope())["status"] == "completed"


async def test_a_bare_awakeable_where_it_is_allowed(live: Any) -> None:
    """Hand-written handlers get the value itself, or a rejection with the failure's text."""
    good, bad = await live.waiting(), await live.waiting()
    await live.send(b'{"plain":1}', ("kallback-token", good.token.awakeable_id.encode()))
    await live.send(
        b'{"detail":"no basil"}',
        ("kallback-token", bad.token.awakeable_id.encode()),
        ("kallback-status", b"failed"),
    )
    async with live.bridge(BridgeOptions(allow_bare_awakeables=True)):
        await live.settle(2)

    assert await good.envelope() == {"plain": 1}
    with pytest.raises(RestateError, match="no basil"):
        await bad.answer


async def test_a_lone_result_takes_milliseconds(house: Any) -> None:
    """From the worker's send to the accepted completion, nothing waits for more."""
    loop = asyncio.get_running_loop()
    delays: list[float] = []
    for _ in range(20):
        count, begun = len(house.live.settled) + 1, loop.time()
        await house.live.complete()
        await eventually("the outcome", lambda: len(house.live.settled) >= count, interval=0.0005)  # noqa: B023
        delays.append(loop.time() - begun)
    assert sorted(delays)[10] < 0.05
