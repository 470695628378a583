"""Many tasks of one handler: started at once, collected at once."""

from __future__ import annotations

import asyncio
import time
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest
import restate
from tests.integration.sdk.environment import EnvFactory, Invocation, Order, Prepared, SdkEnv, Send

from kallback.protocol import (
    CancelReason,
    KafkaUnavailableError,
    Problem,
    RecordTooLargeError,
    RetryPolicy,
    TaskHeaders,
    TaskType,
)
from kallback.sdk import TaskError
from kallback.settings import Settings
from kallback.testing import RestateError

if TYPE_CHECKING:
    from kallback.kafka import OutgoingRecord, Position

pytestmark = pytest.mark.integration

DISHES = ["soup", "pesto", "pie"]
BROKEN = Problem("OvenBroken", 503, "no gas")


def shown(result: Any) -> Any:
    """A result as JSON."""
    return [type(result).__name__, result.type] if isinstance(result, TaskError) else result.shelf


def cooking(env: SdkEnv, collect: Any, dishes: Any = DISHES, **limits: Any) -> Any:
    """A handler that starts a task per dish and collects them; a `TaskError` becomes its type."""
    timeout = limits.pop("within", timedelta(seconds=60))
    kind = env.limited(**limits)

    async def run(ctx: restate.Context) -> Any:
        handles = await env.callbacks.start_many(ctx, kind, [Order(d) for d in dishes], timeout=timeout)
        try:
            return [shown(result) for result in await collect(env.callbacks, handles)]
        except TaskError as error:
            return {"error": error.type, "then": [await ending(handle) for handle in handles]}

    return run


async def ending(handle: Any) -> str:
    """How a task ended."""
    try:
        await handle.result()
    except TaskError as error:
        return type(error).__name__
    return "value"


async def all_tasks(env: SdkEnv, count: int = 3) -> dict[str, Any]:
    """The records by dish."""
    records = [await env.task() for _ in range(count)]
    return {dish: record for record in records for dish in [(record.value or b"").decode().split('"')[3]]}


def gather(callbacks: Any, handles: Any) -> Any:
    """All or nothing."""
    return callbacks.gather(handles)


def gather_partial(callbacks: Any, handles: Any) -> Any:
    """What there is."""
    return callbacks.gather(handles, partial=True)


def first(callbacks: Any, handles: Any) -> Any:
    """The first two."""
    return callbacks.first(handles, 2)


async def test_many_tasks_are_two_steps_and_one_timer(env: SdkEnv) -> None:
    """However many: one step creates, one publishes; their ids and awakeables differ, their deadline is one."""
    async with env.invoked(cooking(env, gather)) as invocation:
        tasks = await all_tasks(env)
        for dish, task in tasks.items():
            await env.complete(task, b'{"shelf": "%b"}' % dish.encode())
        assert await invocation.result() == DISHES
        sql = f"SELECT * FROM sys_journal WHERE id = '{invocation.id}' ORDER BY index"
        rows = [row["entry_type"] for row in await env.admin.query(sql)]
    assert [row for row in rows if row.startswith("Command")] == [
        f"Command: {name}" for name in ("Input", "Sleep", "Run", "Run", "Output")
    ]
    headers = [TaskHeaders.decode(task.headers) for task in tasks.values()]
    assert len({it.task_id for it in headers}) == len({env.awakeable_of(task) for task in tasks.values()}) == 3
    assert len({it.deadline_ms for it in headers}) == 1


async def test_many_tasks_with_heartbeats_are_watched_in_one_call(env: SdkEnv) -> None:
    """Each of them is known to `TaskMonitor` before it is published."""
    async with env.invoked(cooking(env, gather, heartbeat_every=timedelta(seconds=30))) as invocation:
        tasks = await all_tasks(env)
        for task in tasks.values():
            task_id = TaskHeaders.decode(task.headers).task_id
            assert (await env.ingress.call(f"{env.services.monitor}/{task_id}/read"))["task_id"] == task_id
        for dish, task in tasks.items():
            await env.complete(task, b'{"shelf": "%b"}' % dish.encode())
        assert await invocation.result() == DISHES
        sql = f"SELECT * FROM sys_journal WHERE id = '{invocation.id}' ORDER BY index"
        rows = [row["entry_type"] for row in await env.admin.query(sql)]
    assert rows.count("Command: Call") == 1


async def test_keys_decide_the_partition_of_each(env: SdkEnv) -> None:
    """A key for each request, None for the task id."""

    async def run(ctx: restate.Context) -> list[str]:
        orders = [Order(dish) for dish in DISHES]
        handles = await env.callbacks.start_many(ctx, env.prepare, orders, keys=["a", "b", None])
        return [handle.task_id for handle in handles]

    async with env.invoked(run) as invocation:
        tasks = await all_tasks(env)
        ids = await invocation.result()
    assert [tasks[dish].key.decode() for dish in DISHES] == ["a", "b", ids[2]]


async def test_the_first_error_cancels_the_rest(env: SdkEnv) -> None:
    """It is raised at once; the others are cancelled in one step."""
    async with env.invoked(cooking(env, gather)) as invocation:
        tasks = await all_tasks(env)
        await env.complete(tasks["soup"], b'{"shelf": "B3"}')
        await env.fail(tasks["pesto"], BROKEN)
        got = await invocation.result()
        cancel = await env.cancel_record()
        assert await cancel_steps(env, invocation) == 1
    assert got == {"error": "OvenBroken", "then": ["value", "TaskFailed", "TaskCancelled"]}
    assert (cancel.task_id, cancel.reason) == (TaskHeaders.decode(tasks["pie"].headers).task_id, CancelReason.CANCELLED)


async def test_partial_results_at_the_deadline(env: SdkEnv) -> None:
    """Values and errors in their places; who did not answer is told, all in one step."""
    within = timedelta(seconds=1.5)
    async with env.invoked(cooking(env, gather_partial, [*DISHES, "flan"], within=within)) as invocation:
        tasks = await all_tasks(env, 4)
        await env.fail(tasks["pesto"], BROKEN)
        await env.complete(tasks["pie"], b'{"shelf": "B3"}')
        got = await invocation.result()
        assert await cancel_steps(env, invocation) == 1
        cancels = {(await env.cancel_record()).task_id for _ in range(2)}
    late = ["TaskTimedOut", "urn:kallback:timed-out"]
    assert got == [late, ["TaskFailed", "OvenBroken"], "B3", late]
    assert cancels == {TaskHeaders.decode(tasks[dish].headers).task_id for dish in ("soup", "flan")}


@pytest.mark.parametrize("collect", [gather, gather_partial])
async def test_gathering_tries_again(env: SdkEnv, collect: Any) -> None:
    """Each task has its own attempts."""
    policy = RetryPolicy(first_delay=timedelta(milliseconds=20))
    async with env.invoked(cooking(env, collect, retry=policy)) as invocation:
        tasks = await all_tasks(env)
        for dish in ("soup", "pie"):
            await env.fail(tasks[dish], BROKEN)
        again = await all_tasks(env, 2)
        for task in (*again.values(), tasks["pesto"]):
            await env.complete(task, b'{"shelf": "B%d"}' % TaskHeaders.decode(task.headers).attempt)
        assert await invocation.result() == ["B2", "B1", "B2"]


async def test_the_first_results_are_enough(env: SdkEnv) -> None:
    """In the order in which they come; a failure does not count, and the rest is cancelled."""
    async with env.invoked(cooking(env, first, [*DISHES, "flan"])) as invocation:
        tasks = await all_tasks(env, 4)
        await env.complete(tasks["pie"], b'{"shelf": "pie"}')
        await env.fail(tasks["pesto"], BROKEN)
        await env.complete(tasks["soup"], b'{"shelf": "soup"}')
        assert await invocation.result() == ["pie", "soup"]
        assert (await env.cancel_record()).task_id == TaskHeaders.decode(tasks["flan"].headers).task_id


async def test_when_too_many_fail_the_first_results_are_impossible(env: SdkEnv) -> None:
    """The last failure is raised without waiting for the others, which are cancelled."""
    async with env.invoked(cooking(env, first)) as invocation:
        tasks = await all_tasks(env)
        await env.fail(tasks["pesto"], BROKEN)
        await env.fail(tasks["pie"], Problem("OutOfStock", 422))
        got = await invocation.result()
    assert got["error"] == "OutOfStock"
    assert got["then"] == ["TaskCancelled", "TaskFailed", "TaskFailed"]


async def test_a_cancelled_invocation_tells_all_workers_in_one_step(env: SdkEnv) -> None:
    """One step, a cancel per task, and Restate's own 409."""
    async with env.invoked(cooking(env, gather)) as invocation:
        tasks = await all_tasks(env)
        await env.admin.cancel(invocation.id)
        with pytest.raises(RestateError, match="cancelled"):
            await invocation.result()
        cancels = {(await env.cancel_record()).task_id for _ in DISHES}
        assert await cancel_steps(env, invocation) == 1
    assert cancels == {TaskHeaders.decode(task.headers).task_id for task in tasks.values()}


async def test_a_task_that_kafka_refuses_harms_no_other(make_env: EnvFactory, own_topics: Settings) -> None:
    """`TaskNotSent` stands in its place."""

    async def refuse_pesto(record: OutgoingRecord, send: Send) -> Position:
        if b"pesto" in (record.value or b""):
            raise RecordTooLargeError("too large a dish")
        return await send(record)

    async with (
        make_env(refuse_pesto, settings=own_topics) as env,
        env.invoked(cooking(env, gather_partial)) as invocation,
    ):
        for task in (await all_tasks(env, 2)).values():
            await env.complete(task, b'{"shelf": "B3"}')
        got = await invocation.result()
    assert got == ["B3", ["TaskNotSent", "urn:kallback:record-too-large"], "B3"]


async def test_what_kafka_did_not_take_yet_is_sent_again(make_env: EnvFactory, own_topics: Settings) -> None:
    """Only that, in another step."""
    sent = list[bytes]()

    async def away_for_pesto(record: OutgoingRecord, send: Send) -> Position:
        if record.value is not None and b"dish" in record.value:
            sent.append(record.value)
            if b"pesto" in record.value and len(sent) <= 3:
                raise KafkaUnavailableError("one partition has no leader")
        return await send(record)

    async with (
        make_env(away_for_pesto, settings=own_topics) as env,
        env.invoked(cooking(env, gather)) as invocation,
    ):
        for task in (await all_tasks(env)).values():
            await env.complete(task, b'{"shelf": "B3"}')
        assert await invocation.result() == ["B3", "B3", "B3"]
    assert len(sent) == 4
    assert sent.count(next(it for it in sent if b"pesto" in it)) == 2


async def test_no_tasks_have_no_results(env: SdkEnv) -> None:
    """Nothing is started, nothing waited for; the first of none is a terminal error."""

    async def run(ctx: restate.Context) -> Any:
        handles = await env.callbacks.start_many(ctx, env.prepare, [])
        got = await env.outcome(env.callbacks.first(handles))
        return [await env.callbacks.gather(handles), await env.callbacks.gather(handles, partial=True), got["code"]]

    async with env.invoked(run) as invocation:
        assert await invocation.result() == [[], [], 400]


async def test_a_thousand_tasks_are_collected_in_one_run(env: SdkEnv) -> None:
    """While results come, the handler is connected: none of them replays it."""
    entries = list[None]()
    service = restate.Service(f"Awake{uuid4().hex[:8]}", inactivity_timeout=timedelta(minutes=5))

    @service.handler()
    async def run(ctx: restate.Context) -> int:
        entries.append(None)
        orders = [Order(str(n)) for n in range(1000)]
        handles = await env.callbacks.start_many(ctx, env.prepare, orders, timeout=timedelta(minutes=5))
        return len(set(map(id, await env.callbacks.gather(handles))))

    async with env.serving_app(service):
        invocation = await env.ingress.send(f"{service.name}/run")
        records = [await env.task() for _ in range(1000)]
        for start in range(0, 1000, 50):
            await asyncio.gather(*(env.complete(it, b'{"shelf": "B3"}') for it in records[start : start + 50]))
        assert await env.ingress.attach(invocation) == 1000
    assert len(entries) == 1


async def test_a_thousand_tasks_with_heartbeats_take_one_entry_more_than_plain_ones(env: SdkEnv) -> None:
    """What the journal holds does not grow with the number of tasks: one call has all of them watched."""
    orders = [Order(str(n)) for n in range(1000)]

    async def commands(task_type: TaskType[Order, Prepared]) -> list[str]:
        async def run(ctx: restate.Context) -> float:
            began = time.monotonic()
            await env.callbacks.start_many(ctx, task_type, orders)
            return time.monotonic() - began

        async with env.invoked(run) as invocation:
            print(f"dispatched in {await invocation.result():.2f} s")  # noqa: T201 - measured
            sql = f"SELECT * FROM sys_journal WHERE id = '{invocation.id}' ORDER BY index"
            rows = [row["entry_type"] for row in await env.admin.query(sql)]
        return [row.removeprefix("Command: ") for row in rows if row.startswith("Command")]

    assert await commands(env.prepare) == ["Input", "Sleep", "Run", "Run", "Output"]
    with_heartbeats = await commands(env.limited(heartbeat_every=timedelta(seconds=30)))
    assert with_heartbeats == ["Input", "Sleep", "Run", "Call", "Run", "Output"]


async def test_a_suspended_handler_is_not_resumed_by_each_result(env: SdkEnv) -> None:
    """`gather(partial=True)` waits for one at a time in a random order: about ln(40) = 4 of 40 resume it."""
    entries = list[int]()
    service = restate.Service(f"Sleepy{uuid4().hex[:8]}", inactivity_timeout=timedelta(milliseconds=20))

    @service.handler()
    async def run(ctx: restate.Context) -> int:
        entries.append(1)
        handles = await env.callbacks.start_many(ctx, env.prepare, [Order(str(n)) for n in range(40)])
        return len(await env.callbacks.gather(handles, partial=True))

    async with env.serving_app(service):
        invocation = await env.ingress.send(f"{service.name}/run")
        for record in [await env.task() for _ in range(40)]:
            await env.complete(record, b'{"shelf": "B3"}')
            await asyncio.sleep(0.1)
        assert await env.ingress.attach(invocation) == 40
    assert 2 <= len(entries) <= 15


async def cancel_steps(env: SdkEnv, invocation: Invocation) -> int:
    """How many steps told workers."""
    sql = f"SELECT * FROM sys_journal WHERE id = '{invocation.id}' AND name LIKE 'cancel%'"
    return len([row for row in await env.admin.query(sql) if row["entry_type"] == "Command: Run"])
