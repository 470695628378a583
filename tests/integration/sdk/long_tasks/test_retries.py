"""A failed attempt is followed by another one: durably, with a pause, for as long as the caller waits."""

from __future__ import annotations

import itertools
import logging
import time
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
import restate

from kallback.protocol import CancelReason, KafkaUnavailableError, Problem, RetryPolicy, TaskHeaders
from kallback.testing import RestateError, eventually

if TYPE_CHECKING:
    from kallback.kafka import OutgoingRecord, Position

pytestmark = pytest.mark.integration

SOON = RetryPolicy(attempts=3, first_delay=timedelta(milliseconds=20))
BROKEN = Problem("OvenBroken", 503, "no gas")
QUICK = timedelta(seconds=0.4)


def calling(world: Any, **limits: Any) -> Any:
    """A handler that has a dish prepared by a task type with these limits."""
    timeout = limits.pop("within", timedelta(seconds=60))
    kind = world.kind(**limits)

    async def run(ctx: restate.Context) -> dict[str, Any]:
        handle = await world.callbacks.start(ctx, kind, world.Order("x"), timeout=timeout)
        try:
            return {"value": (await handle.result()).shelf, "attempt": handle.attempt}
        except restate.TerminalError as error:
            kind_of = [type(error).__name__, error.status_code, getattr(error, "type", None)]
            return {"error": kind_of, "message": error.message, "attempt": getattr(error, "attempt", None)}

    return run


async def test_a_failure_that_may_pass_is_tried_again(world: Any) -> None:
    """Same task, next attempt, another awakeable; no cancel, for the worker knows that it failed."""
    async with world.invoked(calling(world, retry=SOON)) as invocation:
        first = await world.task()
        await world.fail(first, BROKEN)
        second = await world.task()
        await world.complete(second, b'{"shelf": "B3"}')
        assert await invocation.result() == {"value": "B3", "attempt": 2}
        assert await world.tells_nothing()
    before, after = TaskHeaders.decode(first.headers), TaskHeaders.decode(second.headers)
    assert (before.task_id, before.deadline_ms, after.attempt) == (after.task_id, after.deadline_ms, 2)
    assert world.awakeable_of(first) != world.awakeable_of(second)


async def test_the_last_failure_is_raised(world: Any) -> None:
    """When the attempts are used up, with the number of the last one."""
    async with world.invoked(calling(world, retry=SOON)) as invocation:
        for _ in range(3):
            await world.fail(await world.task(), BROKEN)
        got = await invocation.result()
    assert got == {"error": ["TaskFailed", 503, "OvenBroken"], "message": "no gas", "attempt": 3}


@pytest.mark.parametrize(
    ("problem", "never"),
    [
        (Problem("OutOfStock", 422), ()),
        (Problem("OvenBroken", 503, retryable=False), ()),
        (BROKEN, {"OvenBroken"}),
        (
            Problem("urn:kallback:unexpected-error", extensions={"exception": ["KeyError", "LookupError"]}),
            {"LookupError"},
        ),
    ],
)
async def test_what_is_not_to_be_tried_again_is_not(world: Any, problem: Problem, never: Any) -> None:
    """The request's fault, the worker's word, the policy's names."""
    policy = RetryPolicy(first_delay=timedelta(0), never=never)
    async with world.invoked(calling(world, retry=policy)) as invocation:
        await world.fail(await world.task(), problem)
        got = await invocation.result()
    assert (got["error"][0], got["attempt"]) == ("TaskFailed", 1)


async def test_a_result_of_another_type_is_not_tried_again(world: Any) -> None:
    """The next worker would answer the same."""
    async with world.invoked(calling(world, retry=SOON)) as invocation:
        await world.complete(await world.task(), b'{"shelf": 3}')
        assert (await invocation.result())["error"][0] == "InvalidResult"


async def test_the_worker_says_how_long_to_wait(world: Any) -> None:
    """`retry_after` counts where it is longer than the policy's delay."""
    async with world.invoked(calling(world, retry=SOON)) as invocation:
        await world.fail(await world.task(), Problem("Busy", 503, retry_after=1.0))
        failed = time.monotonic()
        second = await world.task()
        assert time.monotonic() - failed >= 0.95
        await world.complete(second, b'{"shelf": "B3"}')
        assert (await invocation.result())["attempt"] == 2


async def test_an_attempt_that_takes_too_long_is_superseded(world: Any) -> None:
    """Its worker is told, its record and token carry its own deadline, and the next attempt follows."""
    async with world.invoked(calling(world, retry=SOON, attempt_timeout=QUICK)) as invocation:
        first = await world.task()
        cancel = await world.cancel_record()
        second = await world.task()
        await world.complete(second, b'{"shelf": "B3"}')
        assert (await invocation.result())["attempt"] == 2
    assert (cancel.reason, cancel.attempt) == (CancelReason.SUPERSEDED, 1)
    before, after = TaskHeaders.decode(first.headers), TaskHeaders.decode(second.headers)
    assert 300 <= after.deadline_ms - before.deadline_ms < 30_000
    assert before.deadline_ms - time.time() * 1000 < 1_000


async def test_without_a_policy_a_slow_attempt_fails_the_task(world: Any) -> None:
    """The workers are told that nobody waits for any attempt."""
    async with world.invoked(calling(world, attempt_timeout=QUICK)) as invocation:
        await world.task()
        got = await invocation.result()
        cancel = await world.cancel_record()
    assert (got["error"], got["attempt"]) == (["TaskFailed", 504, "urn:kallback:attempt-timed-out"], 1)
    assert (cancel.reason, cancel.attempt) == (CancelReason.TIMED_OUT, None)


async def test_a_result_of_a_superseded_attempt_is_dropped_and_logged(
    world: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """It changes nothing, and a line says that it came."""
    async with world.invoked(calling(world, retry=SOON, attempt_timeout=timedelta(seconds=1.5))) as invocation:
        first = await world.task()
        second = await world.task()
        await world.complete(first, b'{"shelf": "old"}')
        with caplog.at_level(logging.WARNING, "kallback.sdk"):
            await world.complete(second, b'{"shelf": "new"}')
            assert await invocation.result() == {"value": "new", "attempt": 2}
    assert "a result of attempt 1 came after that attempt was given up" in caplog.text


async def test_cancelled_between_two_attempts(world: Any) -> None:
    """A pause hears the invocation's cancellation at once, and the workers are told."""
    policy = RetryPolicy(first_delay=timedelta(minutes=5))
    kind = world.kind(retry=policy)

    async def run(ctx: restate.Context) -> str:
        return (await world.callbacks.call(ctx, kind, world.Order("x"))).shelf

    async with world.invoked(run) as invocation:
        await world.fail(await world.task(), BROKEN)
        await pausing(world, invocation)
        await world.admin.cancel(invocation.id)
        with pytest.raises(RestateError, match="cancelled"):
            await invocation.result()
        cancel = await world.cancel_record()
    assert (cancel.reason, cancel.attempt) == (CancelReason.CANCELLED, None)


async def test_the_deadline_ends_a_pause(world: Any) -> None:
    """`timeout` spans all attempts and what is between them; the sentence names the last failure."""
    policy = RetryPolicy(first_delay=timedelta(minutes=5))
    async with world.invoked(calling(world, retry=policy, within=timedelta(seconds=1.5))) as invocation:
        await world.fail(await world.task(), BROKEN)
        got = await invocation.result()
    assert (got["error"][0], got["attempt"]) == ("TaskTimedOut", 1)
    assert got["message"].endswith("attempt 1 failed: no gas")


@pytest.mark.parametrize("limit", ["attempt_timeout", "start_timeout"])
async def test_an_attempt_that_kafka_never_took_does_not_count(make_world: Any, own_topics: Any, limit: str) -> None:
    """Its time passes while Kafka is away; the two that there may be are sent when it is back."""
    tries = itertools.count()

    async def away(record: OutgoingRecord, send: Any) -> Position:
        if next(tries) == 0:
            raise KafkaUnavailableError("no broker answers")
        return await send(record)

    policy = RetryPolicy(attempts=2, first_delay=timedelta(0))
    async with make_world(away, settings=own_topics.settings) as made:
        world = own_topics.world(made)
        async with world.invoked(calling(world, retry=policy, **{limit: timedelta(seconds=0.9)})) as invocation:
            await world.fail(await world.task(), BROKEN)
            await world.complete(await world.task(), b'{"shelf": "B3"}')
            assert await invocation.result() == {"value": "B3", "attempt": 3}


async def test_a_type_without_limits_journals_what_it_always_did(world: Any) -> None:
    """Input, timer, create task, publish, output: a task type without limits costs nothing more."""
    async with world.invoked(calling(world)) as invocation:
        await world.complete(await world.task(), b'{"shelf": "B3"}')
        await invocation.result()
        assert await commands(world, invocation) == ["Input", "Sleep", "Run create", "Run publish", "Output"]


async def test_a_failure_without_a_policy_journals_what_it_always_did(world: Any) -> None:
    """The failure is the task's at once."""
    async with world.invoked(calling(world)) as invocation:
        await world.fail(await world.task(), BROKEN)
        await invocation.result()
        assert await commands(world, invocation) == ["Input", "Sleep", "Run create", "Run publish", "Output"]


async def commands(world: Any, invocation: Any) -> list[str]:
    """The commands of a journal, in order, with the first word of a step's name."""
    sql = f"SELECT * FROM sys_journal WHERE id = '{invocation.id}' ORDER BY index"
    rows = await world.admin.query(sql)
    assert rows, "no journal"
    found = [row for row in rows if row["entry_type"].startswith("Command: ")]
    return [
        " ".join([row["entry_type"].removeprefix("Command: "), *(row["name"] or "").split(" ")[:1]]).strip()
        if row["entry_type"] == "Command: Run"
        else row["entry_type"].removeprefix("Command: ")
        for row in found
    ]


async def pausing(world: Any, invocation: Any) -> None:
    """Wait until the handler pauses between two attempts."""

    async def paused() -> bool:
        sql = f"SELECT name FROM sys_journal WHERE id = '{invocation.id}' AND name LIKE 'back off%'"
        return bool(await world.admin.query(sql))

    await eventually("a pause between two attempts", paused)
