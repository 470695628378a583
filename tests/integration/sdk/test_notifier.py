"""`NotifierService` on a real Restate: verdicts, and what the waiting handlers get."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
import restate
from tests.integration.sdk.environment import EnvFactory, Order, SdkEnv

from kallback.protocol import TaskHeaders

pytestmark = pytest.mark.integration


async def post(env: SdkEnv, handler: str, body: bytes) -> Any:
    """Call a handler of the service with exactly these bytes."""
    url = f"{env.stack.ingress_url}/{env.services.notifier}/{handler}"
    answer = await env.http.post(url, content=body, headers={"content-type": "application/json"}, timeout=60)
    return answer.status_code, answer.json()


def item(token: str, *, status: str = "completed", member: str = "value", body: str = "null") -> str:
    """An item as the bridge splices it."""
    return f'{{"token":{json.dumps(token)},"status":"{status}","{member}":{body}}}'


def cooking(env: SdkEnv, dishes: int = 1) -> Any:
    """A handler that has dishes prepared, all at once."""

    async def run(ctx: restate.Context) -> list[dict[str, Any]]:
        handles = [await env.callbacks.start(ctx, env.prepare, Order(str(each))) for each in range(dishes)]
        return [await env.outcome(handle.result()) for handle in handles]

    return run


async def tokens(env: SdkEnv, count: int) -> list[str]:
    """The tokens of the next tasks, in the order in which they were started."""
    tasks = [await env.task() for _ in range(count)]
    tasks.sort(key=lambda task: env.prepare.request_codec.decode(task.value or b"").dish)
    return [TaskHeaders.decode(task.headers).token for task in tasks]


async def test_ack_completes_one(env: SdkEnv) -> None:
    """A good item is delivered, and the handler gets the value."""
    async with env.invoked(cooking(env)) as invocation:
        (token,) = await tokens(env, 1)
        answer = await post(env, "ack", item(token, body='{"shelf": "B3"}').encode())
        assert answer == (200, {"outcome": "delivered"})
        assert await invocation.result() == [{"value": {"shelf": "B3"}}]


async def test_ack_many_judges_each_item_alone(env: SdkEnv) -> None:
    """Bad items get their verdicts in order, and the good ones among them are delivered."""
    async with env.invoked(cooking(env, 3)) as invocation:
        good, failed, unusable = await tokens(env, 3)
        items = [
            "17",
            item("garbage"),
            item(good, body='{"shelf": "B3"}'),
            item(good[:-1] + ("A" if good[-1] != "A" else "B")),
            item(failed, status="failed", member="error", body='{"type": "OutOfStock", "status": 422}'),
            item(unusable, status="perhaps"),
            item("sign_1" + "A" * 38),
        ]
        status, verdicts = await post(env, "ack_many", f"[{','.join(items)}]".encode())
        first, second, third = await invocation.result()
    assert status == 200
    assert [(verdict["outcome"], verdict.get("reason")) for verdict in verdicts] == [
        ("unverified", "no-token"),
        ("unverified", "malformed-token"),
        ("delivered", None),
        ("unverified", "wrong-tag"),
        ("delivered", None),
        ("unusable", "unknown-status"),
        ("unverified", "malformed-token"),
    ]
    assert first == {"value": {"shelf": "B3"}}
    assert (second["code"], second["type"]) == (422, "OutOfStock")
    assert third["type"] == "urn:kallback:unusable-result"


@pytest.mark.parametrize("body", [b"", b"{}", b"[1", b"\xff", b"null"])
async def test_a_body_that_is_no_array_is_refused(env: SdkEnv, body: bytes) -> None:
    """What cannot be taken apart is answered with 400 at once, not retried."""
    async with env.invoked(cooking(env, 0)), asyncio.timeout(60):
        status, _ = await post(env, "ack_many", body)
    assert status == 400


async def test_a_value_with_broken_utf8_is_unusable(env: SdkEnv) -> None:
    """Bytes that the JSON parser skips over are still looked at: they would poison the waiting handler."""
    async with env.invoked(cooking(env)) as invocation:
        (token,) = await tokens(env, 1)
        body = item(token, body='{"shelf": "?"}').encode().replace(b"?", b"\xff")
        assert (await post(env, "ack", body))[1]["reason"] == "not-json"
        assert (await invocation.result())[0]["type"] == "urn:kallback:unusable-result"


async def bare(ctx: restate.Context, env: SdkEnv, ids: asyncio.Queue[str]) -> dict[str, Any]:
    """Wait for a plain awakeable."""
    name, future = ctx.awakeable(type_hint=object)
    ids.put_nowait(name)
    return await env.outcome(future)


async def test_a_bare_awakeable_needs_permission(env: SdkEnv) -> None:
    """Without the option an awakeable id is no token."""
    async with env.invoked(cooking(env, 0)):
        _, verdict = await post(env, "ack", item("sign_1" + "A" * 38).encode())
    assert verdict["outcome"] == "unverified"


async def test_a_bare_awakeable_where_it_is_allowed(make_env: EnvFactory) -> None:
    """The value itself arrives; a failure keeps its code; a reserved or wrong id is refused."""
    ids: asyncio.Queue[str] = asyncio.Queue()
    async with make_env(allow_bare_awakeables=True) as env:

        async def run(ctx: restate.Context) -> list[dict[str, Any]]:
            return [await bare(ctx, env, ids), await bare(ctx, env, ids)]

        async with env.invoked(run) as invocation:
            one = item(await asyncio.wait_for(ids.get(), 60), body='{"shelf": 10.50}')
            assert (await post(env, "ack", one.encode()))[1] == {"outcome": "delivered"}
            problem = '{"status": 404, "detail": "no driver"}'
            two = item(await asyncio.wait_for(ids.get(), 60), status="failed", member="error", body=problem)
            three = item("sign_1" + "A" * 38)
            _, verdicts = await post(env, "ack_many", f"[{two},{three}]".encode())
            completed, rejected = await invocation.result()
    assert completed == {"value": {"shelf": 10.5}}
    assert (rejected["code"], rejected["message"]) == (404, "no driver")
    assert [verdict.get("reason") for verdict in verdicts] == [None, "reserved-signal"]


async def test_nothing_of_a_batch_is_kept(env: SdkEnv) -> None:
    """Restate knows the service with a retention of 0."""
    async with env.invoked(cooking(env, 0)):
        service = (await env.http.get(f"{env.stack.admin_url}/services/{env.services.notifier}")).json()
    assert service["journal_retention"] == "0s"
    assert service["idempotency_retention"] == "0s"
