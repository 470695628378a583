"""What a handler gets for what a worker answered."""

from __future__ import annotations

from typing import Any

import pytest
import restate
from tests.integration.sdk.environment import Order, SdkEnv

from kallback.protocol import Attempt, Completed, Failed, Problem, TaskHeaders, TaskId, TaskType, seal
from kallback.testing import RestateError

pytestmark = pytest.mark.integration


def calling(env: SdkEnv) -> Any:
    """A handler that has a dish prepared and tells what it got."""

    async def run(ctx: restate.Context) -> dict[str, Any]:
        return await env.outcome(env.callbacks.call(ctx, env.prepare, Order("margherita")))

    return run


async def test_the_result_has_the_declared_type(env: SdkEnv) -> None:
    """A completed result arrives as the type that the task type declares."""

    async def run(ctx: restate.Context) -> list[str]:
        prepared = await env.callbacks.call(ctx, env.prepare, Order("margherita"))
        return [type(prepared).__name__, prepared.shelf]

    async with env.invoked(run) as invocation:
        await env.complete(await env.task(), b'{"shelf": "B3"}')
        assert await invocation.result() == ["Prepared", "B3"]


async def test_the_task_record_is_what_the_wire_says(env: SdkEnv) -> None:
    """Value: the request as it is. Key: the task id. Headers: everything that a worker needs."""
    async with env.invoked(calling(env)) as invocation:
        task = await env.task()
        headers = TaskHeaders.decode(task.headers)
        await env.complete(task, b'{"shelf": "B3"}')
        await invocation.result()
    assert task.value == b'{"dish":"margherita"}'
    assert (task.key, headers.attempt) == (headers.task_id.encode(), 1)
    assert headers.reply_to == env.settings.topics.results
    assert 0 < (headers.deadline_ms or 0) - task.timestamp_ms <= 60_000


async def test_the_callers_key_is_the_records_key(env: SdkEnv) -> None:
    """`key=` decides the partition."""

    async def run(ctx: restate.Context) -> str:
        return (await env.callbacks.call(ctx, env.prepare, Order("x"), key="table 7")).shelf

    async with env.invoked(run) as invocation:
        task = await env.task()
        await env.complete(task, b'{"shelf": "B3"}')
        await invocation.result()
    assert task.key == b"table 7"


async def test_the_trace_context_travels(env: SdkEnv) -> None:
    """A `traceparent` of the invocation stands in the task's headers."""
    trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    async with env.serving(calling(env)) as service:
        url = f"{env.stack.ingress_url}/{service}/run/send"
        await env.http.post(url, headers={"traceparent": trace})
        task = await env.task()
        await env.complete(task, b'{"shelf": "B3"}')
    traceparent = TaskHeaders.decode(task.headers).traceparent or ""
    assert traceparent.split("-")[1] == trace.split("-")[1]


async def test_a_failure_is_typed(env: SdkEnv) -> None:
    """A failed result is `TaskFailed` with the worker's code, type and sentence."""
    async with env.invoked(calling(env)) as invocation:
        await env.fail(await env.task(), Problem("OutOfStock", 422, "no basil"))
        got = await invocation.result()
    assert (got["kind"], got["code"], got["type"], got["message"]) == ("TaskFailed", 422, "OutOfStock", "no basil")


async def test_a_callers_own_ingress_sees_code_and_sentence(env: SdkEnv) -> None:
    """A failure that no handler catches is the invocation's: its code is the HTTP status."""

    async def run(ctx: restate.Context) -> str:
        return (await env.callbacks.call(ctx, env.prepare, Order("margherita"))).shelf

    async with env.invoked(run) as invocation:
        await env.fail(await env.task(), Problem("OutOfStock", 422, "no basil"))
        with pytest.raises(RestateError, match="no basil") as caught:
            await invocation.result()
    assert caught.value.status == 422


async def test_another_service_sees_the_type_in_the_metadata(env: SdkEnv) -> None:
    """A handler that calls the failing one gets the problem's type and the task id as metadata."""

    async def failing(ctx: restate.Context) -> str:
        return (await env.callbacks.call(ctx, env.prepare, Order("margherita"))).shelf

    async def calling_it(ctx: restate.Context, service: str) -> dict[str, Any]:
        return await env.outcome(ctx.generic_call(service, "failing", b""))

    async with env.serving(failing, calling_it) as service:
        invocation = await env.ingress.send(f"{service}/calling_it", service)
        task = await env.task()
        await env.fail(task, Problem("OutOfStock", 422, "no basil"))
        got = await env.ingress.attach(invocation)
    assert got["metadata"] == {
        "kallback-problem": "OutOfStock",
        "kallback-type": env.prepare.name,
        "kallback-task-id": TaskHeaders.decode(task.headers).task_id,
    }


async def test_a_workers_409_is_no_cancellation(env: SdkEnv) -> None:
    """A failure with status 409 is `TaskFailed`, and no cancel is published for it."""
    async with env.invoked(calling(env)) as invocation:
        await env.fail(await env.task(), Problem("Taken", 409, "the table is taken"))
        got = await invocation.result()
        assert (got["kind"], got["code"]) == ("TaskFailed", 409)
        assert await env.has_no_cancel()


@pytest.mark.parametrize(
    "value", [b'{"shelf": 3}', b'{"shelf"', b"[]", b"[" * 2000 + b"]" * 2000], ids=["type", "cut", "array", "deep"]
)
async def test_a_value_that_does_not_fit_is_one_typed_error(env: SdkEnv, value: bytes) -> None:
    """A result that does not fit the declared type ends the wait at once: no endless retry."""
    async with env.invoked(calling(env)) as invocation:
        await env.complete(await env.task(), value)
        got = await invocation.result()
    assert (got["kind"], got["code"]) == ("InvalidResult", 502)


@pytest.mark.parametrize("body", [b'{"shelf": "B3"}', b"", b"null", b"\xff"], ids=["value", "empty", "null", "bytes"])
async def test_a_plain_value_on_our_awakeable_says_so(env: SdkEnv, body: bytes) -> None:
    """What is no envelope is a terminal error that names the ways to complete."""
    async with env.invoked(calling(env)) as invocation:
        await env.post(await env.task(), body)
        got = await invocation.result()
    assert (got["kind"], got["type"]) == ("InvalidResult", "urn:kallback:not-an-envelope"), got
    assert "through the bridge" in got["message"]


async def test_a_problem_that_is_no_object_is_one_typed_error(env: SdkEnv) -> None:
    """An envelope whose error is unreadable ends the wait as well."""
    async with env.invoked(calling(env)) as invocation:
        task = await env.task()
        headers = TaskHeaders.decode(task.headers)
        await env.post(task, seal(TaskId(headers.task_id), Attempt(1), Failed(b"[1]")))
        assert (await invocation.result())["kind"] == "InvalidResult"


async def test_a_plain_rejection_is_a_failure(env: SdkEnv) -> None:
    """An awakeable of ours that somebody rejected with a text is `TaskFailed` with Restate's code 500."""
    async with env.invoked(calling(env)) as invocation:
        await env.ingress.reject(env.awakeable_of(await env.task()), "closed today")
        got = await invocation.result()
    assert (got["kind"], got["code"], got["message"]) == ("TaskFailed", 500, "closed today")


async def test_work_without_a_result(env: SdkEnv) -> None:
    """`NoneType` as result type: the handler gets None for `null`."""
    clean: TaskType[str, None] = TaskType(f"{env.prepare.name}.clean", str, type(None), topic=env.prepare.topic)

    async def run(ctx: restate.Context) -> dict[str, Any]:
        return await env.outcome(env.callbacks.call(ctx, clean, "table 7"))

    async with env.invoked(run) as invocation:
        task = await env.task()
        assert task.value == b'"table 7"'
        headers = TaskHeaders.decode(task.headers)
        await env.post(task, seal(headers.task_id, headers.attempt, Completed(b"null")))
        assert await invocation.result() == {"value": None}


async def test_the_first_of_two_results_wins(env: SdkEnv) -> None:
    """A second completion of the same attempt changes nothing."""
    async with env.invoked(calling(env)) as invocation:
        task = await env.task()
        await env.complete(task, b'{"shelf": "first"}')
        await env.complete(task, b'{"shelf": "second"}')
        assert await invocation.result() == {"value": {"shelf": "first"}}
