"""A failed attempt is followed by another one: durably, with a pause, for as long as the caller waits."""

from __future__ import annotations

import itertools
import logging
import time
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
import restate
from tests.integration.sdk.environment import EnvFactory, Invocation, Order, SdkEnv, Send

from kallback.protocol import CancelReason, KafkaUnavailableError, Problem, RetryPolicy, TaskHeaders
from kallback.protocol.long_tasks.hand_backs import hand_back
from kallback.settings import Settings
from kallback.testing import RestateError, eventually

if TYPE_CHECKING:
    from kallback.kafka import OutgoingRecord, Position

pytestmark = pytest.mark.integration

SOON = RetryPolicy(attempts=3, first_delay=timedelta(milliseconds=20))
BROKEN = Problem("OvenBroken", 503, "no gas")
QUICK = timedelta(seconds=0.4)


def calling(env: SdkEnv, **limits: Any) -> Any:
    """A handler that has a dish prepared by a task type with these limits."""
    timeout = limits.pop("within", timedelta(seconds=60))
    kind = env.limited(**limits)

    async def run(ctx: restate.Context) -> dict[str, Any]:
        handle = await env.callbacks.start(ctx, kind, Order("x"), timeout=timeout)
        try:
            return {"value": (await handle.result()).shelf, "attempt": handle.attempt}
        except restate.TerminalError as error:
            kind_of = [type(error).__name__, error.status_code, getattr(error, "type", None)]
            return {"error": kind_of, "message": error.message, "attempt": getattr(error, "attempt", None)}

    return run


async def test_a_failure_that_may_pass_is_tried_again(env: SdkEnv) -> None:
    """Same task, next attempt, another awakeable; no cancel, for the worker knows that it failed."""
    async with env.invoked(calling(env, retry=SOON)) as invocation:
        first = await env.task()
        await env.fail(first, BROKEN)
        second = await env.task()
        await env.complete(second, b'{"shelf": "B3"}')
        assert await invocation.result() == {"value": "B3", "attempt": 2}
        assert await env.has_no_cancel()
    before, after = TaskHeaders.decode(first.headers), TaskHeaders.decode(second.headers)
    assert (before.task_id, before.deadline_ms, after.attempt) == (after.task_id, after.deadline_ms, 2)
    assert env.awakeable_of(first) != env.awakeable_of(second)


async def test_the_last_failure_is_raised(env: SdkEnv) -> None:
    """When the attempts are used up, with the number of the last one."""
    async with env.invoked(calling(env, retry=SOON)) as invocation:
        for _ in range(3):
            await env.fail(await env.task(), BROKEN)
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
async def test_what_is_not_to_be_tried_again_is_not(env: SdkEnv, problem: Problem, never: Any) -> None:
    """The request's fault, the worker's word, the policy's names."""
    policy = RetryPolicy(first_delay=timedelta(0), never=never)
    async with env.invoked(calling(env, retry=policy)) as invocation:
        await env.fail(await env.task(), problem)
        got = await invocation.result()
    assert (got["error"][0], got["attempt"]) == ("TaskFailed", 1)


async def test_a_result_of_another_type_is_not_tried_again(env: SdkEnv) -> None:
    """The next worker would answer the same."""
    async with env.invoked(calling(env, retry=SOON)) as invocation:
        await env.complete(await env.task(), b'{"shelf": 3}')
        assert (await invocation.result())["error"][0] == "InvalidResult"


async def test_the_worker_says_how_long_to_wait(env: SdkEnv) -> None:
    """`retry_after` counts where it is longer than the policy's delay."""
    async with env.invoked(calling(env, retry=SOON)) as invocation:
        await env.fail(await env.task(), Problem("Busy", 503, retry_after=1.0))
        failed = time.monotonic()
        second = await env.task()
        assert time.monotonic() - failed >= 0.95
        await env.complete(second, b'{"shelf": "B3"}')
        assert (await invocation.result())["attempt"] == 2


async def test_a_handed_back_attempt_is_followed_at_once(env: SdkEnv) -> None:
    """The policy is not asked. The next has the details byte for byte, also if the worker said nothing new."""
    policy = RetryPolicy(attempts=1, first_delay=timedelta(minutes=5))
    async with env.invoked(calling(env, retry=policy)) as invocation:
        found: list[bytes] = []
        for details in (b'{"price": 1.10}', b""):
            task = await env.task()
            assert dict(task.headers)["kallback-hand-back"] == b"1"
            await env.fail(task, hand_back(details, "0"))
            cancel = await env.cancel_record()
            assert (cancel.reason, cancel.attempt) == (CancelReason.SUPERSEDED, len(found) + 1)
            found.append(TaskHeaders.decode(task.headers).last_details)
        third = await env.task()
        found.append(TaskHeaders.decode(third.headers).last_details)
        assert found == [b"", b'{"price": 1.10}', b'{"price": 1.10}']
        await env.fail(third, BROKEN)
        got = await invocation.result()
    assert (got["error"][0], got["attempt"]) == ("TaskFailed", 3)


async def test_attempts_that_were_handed_back_do_not_count(env: SdkEnv) -> None:
    """A policy of two attempts allows a failure after two of them, and ends the task with the second failure."""
    async with env.invoked(calling(env, retry=replace(SOON, attempts=2))) as invocation:
        for problem in (hand_back(b"", ""), hand_back(b"", ""), BROKEN, BROKEN):
            await env.fail(await env.task(), problem)
        got = await invocation.result()
    assert (got["error"][0], got["attempt"]) == ("TaskFailed", 4)


async def test_a_failure_says_where_the_next_attempt_goes_on(env: SdkEnv) -> None:
    """Without heartbeats, too; what an earlier attempt said counts until a later one says more."""
    async with env.invoked(calling(env, retry=SOON)) as invocation:
        for extensions in ({"last_details": '{"price": 1.10}'}, {}):
            await env.fail(await env.task(), replace(BROKEN, extensions=extensions))
        third = await env.task()
        assert TaskHeaders.decode(third.headers).last_details == b'{"price": 1.10}'
        await env.complete(third, b'{"shelf": "B3"}')
        assert (await invocation.result())["attempt"] == 3


async def test_a_short_type_is_not_handed_back(env: SdkEnv) -> None:
    """Its handler is not to be resumed before the end; a worker that hands it back nevertheless fails it."""
    async with env.invoked(calling(env)) as invocation:
        task = await env.task()
        assert "kallback-hand-back" not in dict(task.headers)
        await env.fail(task, hand_back(b"", ""))
        assert (await invocation.result())["error"] == ["TaskFailed", 503, "urn:kallback:handed-back"]


async def test_an_attempt_that_takes_too_long_is_superseded(env: SdkEnv) -> None:
    """Its worker is told, its record and token carry its own deadline, and the next attempt follows."""
    async with env.invoked(calling(env, retry=SOON, attempt_timeout=QUICK)) as invocation:
        first = await env.task()
        cancel = await env.cancel_record()
        second = await env.task()
        await env.complete(second, b'{"shelf": "B3"}')
        assert (await invocation.result())["attempt"] == 2
    assert (cancel.reason, cancel.attempt) == (CancelReason.SUPERSEDED, 1)
    before, after = TaskHeaders.decode(first.headers), TaskHeaders.decode(second.headers)
    assert before.deadline_ms is not None
    assert after.deadline_ms is not None
    assert 300 <= after.deadline_ms - before.deadline_ms < 30_000
    assert before.deadline_ms - time.time() * 1000 < 1_000


async def test_without_a_policy_a_slow_attempt_fails_the_task(env: SdkEnv) -> None:
    """The workers are told that nobody waits for any attempt."""
    async with env.invoked(calling(env, attempt_timeout=QUICK)) as invocation:
        await env.task()
        got = await invocation.result()
        cancel = await env.cancel_record()
    assert (got["error"], got["attempt"]) == (["TaskFailed", 504, "urn:kallback:attempt-timed-out"], 1)
    assert (cancel.reason, cancel.attempt) == (CancelReason.TIMED_OUT, None)


async def test_a_result_of_a_superseded_attempt_is_dropped_and_logged(
    env: SdkEnv, caplog: pytest.LogCaptureFixture
) -> None:
    """It changes nothing, and a line says that it came."""
    async with env.invoked(calling(env, retry=SOON, attempt_timeout=timedelta(seconds=1.5))) as invocation:
        first = await env.task()
        second = await env.task()
        await env.complete(first, b'{"shelf": "old"}')
        with caplog.at_level(logging.WARNING, "kallback.sdk"):
            await env.complete(second, b'{"shelf": "new"}')
            assert await invocation.result() == {"value": "new", "attempt": 2}
    assert "a result of attempt 1 came after that attempt was given up" in caplog.text


async def test_cancelled_between_two_attempts(env: SdkEnv) -> None:
    """A pause hears the invocation's cancellation at once, and the workers are told."""
    policy = RetryPolicy(first_delay=timedelta(minutes=5))
    kind = env.limited(retry=policy)

    async def run(ctx: restate.Context) -> str:
        return (await env.callbacks.call(ctx, kind, Order("x"))).shelf

    async with env.invoked(run) as invocation:
        await env.fail(await env.task(), BROKEN)
        await pausing(env, invocation)
        await env.admin.cancel(invocation.id)
        with pytest.raises(RestateError, match="cancelled"):
            await invocation.result()
        cancel = await env.cancel_record()
    assert (cancel.reason, cancel.attempt) == (CancelReason.CANCELLED, 1)


async def test_the_deadline_ends_a_pause(env: SdkEnv) -> None:
    """`timeout` spans all attempts and what is between them; the sentence names the last failure."""
    policy = RetryPolicy(first_delay=timedelta(minutes=5))
    async with env.invoked(calling(env, retry=policy, within=timedelta(seconds=1.5))) as invocation:
        await env.fail(await env.task(), BROKEN)
        got = await invocation.result()
    assert (got["error"][0], got["attempt"]) == ("TaskTimedOut", 1)
    assert got["message"].endswith("attempt 1 failed: no gas")


@pytest.mark.parametrize("limit", ["attempt_timeout", "start_timeout"])
async def test_an_attempt_that_kafka_never_took_does_not_count(
    make_env: EnvFactory, own_topics: Settings, limit: str
) -> None:
    """Its time passes while Kafka is away; the two that there may be are sent when it is back."""
    tries = itertools.count()

    async def away(record: OutgoingRecord, send: Send) -> Position:
        if next(tries) == 0:
            raise KafkaUnavailableError("no broker answers")
        return await send(record)

    policy = RetryPolicy(attempts=2, first_delay=timedelta(0))
    async with (
        make_env(away, settings=own_topics) as env,
        env.invoked(calling(env, retry=policy, **{limit: timedelta(seconds=0.9)})) as invocation,
    ):
        await env.fail(await env.task(), BROKEN)
        await env.complete(await env.task(), b'{"shelf": "B3"}')
        assert await invocation.result() == {"value": "B3", "attempt": 3}


async def test_a_type_without_limits_journals_what_it_always_did(env: SdkEnv) -> None:
    """Input, timer, create task, publish, output: a task type without limits costs nothing more."""
    async with env.invoked(calling(env)) as invocation:
        await env.complete(await env.task(), b'{"shelf": "B3"}')
        await invocation.result()
        assert await commands(env, invocation) == ["Input", "Sleep", "Run create", "Run publish", "Output"]


async def test_a_failure_without_a_policy_journals_what_it_always_did(env: SdkEnv) -> None:
    """The failure is the task's at once."""
    async with env.invoked(calling(env)) as invocation:
        await env.fail(await env.task(), BROKEN)
        await invocation.result()
        assert await commands(env, invocation) == ["Input", "Sleep", "Run create", "Run publish", "Output"]


async def commands(env: SdkEnv, invocation: Invocation) -> list[str]:
    """The commands of a journal, in order, with the first word of a step's name."""
    sql = f"SELECT * FROM sys_journal WHERE id = '{invocation.id}' ORDER BY index"
    rows = await env.admin.query(sql)
    assert rows, "no journal"
    found = [row for row in rows if row["entry_type"].startswith("Command: ")]
    return [
        " ".join([row["entry_type"].removeprefix("Command: "), *(row["name"] or "").split(" ")[:1]]).strip()
        if row["entry_type"] == "Command: Run"
        else row["entry_type"].removeprefix("Command: ")
        for row in found
    ]


async def pausing(env: SdkEnv, invocation: Invocation) -> None:
    """Wait until the handler pauses between two attempts."""

    async def paused() -> bool:
        sql = f"SELECT name FROM sys_journal WHERE id = '{invocation.id}' AND name LIKE 'back off%'"
        return bool(await env.admin.query(sql))

    await eventually("a pause between two attempts", paused)
