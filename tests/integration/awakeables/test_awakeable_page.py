"""What Restate's page on awakeables promises, with the external side on Kafka: each behaviour on real servers."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest

if TYPE_CHECKING:
    from tests.integration.awakeables.conftest import AwakeableEnv

pytestmark = pytest.mark.integration


@pytest.mark.parametrize(
    ("sent", "received"),
    [
        (b'{"shelf": 3, "price": 1.5, "tags": ["a", null]}', {"shelf": 3, "price": 1.5, "tags": ["a", None]}),
        (b'"text"', "text"),
        (b"[]", []),
        (b"{}", {}),
        (b"false", False),
        (b"null", None),
        (b"", None),
        (None, None),
    ],
)
async def test_json_travels_both_ways(env: AwakeableEnv, sent: bytes | None, received: Any) -> None:
    """A handler sends any JSON and gets any JSON; an empty or null value is null."""
    request = {"id": uuid4().hex, "nested": [1, {"x": None}]}
    invocation = await env.ingress.send("Page/ask", request)
    env.worker.answer(await env.worker.task(request), sent)
    assert await env.ingress.attach(invocation) == received


async def test_a_waiting_invocation_suspends_and_outlives_its_process(env: AwakeableEnv) -> None:
    """Nothing runs while the handler waits, and a service that was stopped in between resumes it."""
    request = uuid4().hex
    invocation = await env.ingress.send("Page/ask", request)
    task = await env.worker.task(request)
    await env.suspended(invocation)
    await asyncio.to_thread(env.service.stop)
    env.worker.answer(task, b'"after the restart"')
    await asyncio.to_thread(env.service.start)
    assert await env.ingress.attach(invocation) == "after the restart"


async def test_a_keyed_object_blocks_its_own_key_only(env: AwakeableEnv) -> None:
    """While one key waits, its next call queues, another key answers, and the result arrives all the same."""
    request, key = uuid4().hex, uuid4().hex
    sitting = await env.ingress.send(f"Desk/{key}/sit", request)
    task = await env.worker.task(request)
    ringing = await env.ingress.send(f"Desk/{key}/ring")
    assert await env.ingress.call(f"Desk/other-{key}/ring") == f"other-{key}"
    blocked = await env.admin.invocation(ringing)
    assert blocked is not None
    assert blocked["status"] in {"pending", "inboxed"}
    env.worker.answer(task, b'"seated"')
    assert await env.ingress.attach(sitting) == "seated"
    assert await env.ingress.attach(ringing) == key


async def test_another_service_completes(env: AwakeableEnv) -> None:
    """A handler of any service completes a plain awakeable with `complete_awakeable`."""
    name = uuid4().hex
    invocation = await env.ingress.send("Page/wait", name)
    awakeable_id = await env.announced(name)
    await env.ingress.call("Page/complete", {"id": awakeable_id, "payload": {"by": "a service"}})
    assert await env.ingress.attach(invocation) == {"by": "a service"}


async def test_the_notifier_service_completes(env: AwakeableEnv) -> None:
    """Whoever reaches the ingress completes by token through NotifierService, and gets a verdict."""
    name = uuid4().hex
    invocation = await env.ingress.send("Page/wait_for_token", name)
    token = await env.announced(name)
    verdict = await env.ingress.call(f"{env.notifier}/ack", {"token": token, "value": {"by": "notifier"}})
    assert verdict == {"outcome": "delivered"}
    assert await env.ingress.attach(invocation) == {"by": "notifier"}


async def test_the_notifier_service_says_no_instead_of_trying_for_ever(env: AwakeableEnv) -> None:
    """A forged token gets a verdict at once."""
    verdict = await env.ingress.call(f"{env.notifier}/ack", {"token": "kb1:nonsense", "value": 1})
    assert (verdict["outcome"], verdict["reason"]) == ("unverified", "malformed-token")


async def test_a_token_sent_by_hand_completes_over_kafka(env: AwakeableEnv) -> None:
    """A token that travelled in any other way is good on the results topic, also in structured mode."""
    name = uuid4().hex
    invocation = await env.ingress.send("Page/wait_for_token", name)
    token = await env.announced(name)
    env.worker.send(f'{{"kallback": {{"version": 1, "token": "{token}"}}, "data": {{"by": "value"}}}}'.encode(), {})
    assert await env.ingress.attach(invocation) == {"by": "value"}


async def test_a_bare_awakeable_id_completes_where_the_operator_allows_it(env: AwakeableEnv) -> None:
    """Hand-written `ctx.awakeable()` code works over Kafka with a bridge that allows bare awakeables."""
    name = uuid4().hex
    invocation = await env.ingress.send("Page/wait", name)
    env.worker.send(b'{"by": "bare id"}', {"kallback-token": await env.announced(name)})
    assert await env.ingress.attach(invocation) == {"by": "bare id"}


async def test_a_failed_bare_awakeable_is_rejected(env: AwakeableEnv) -> None:
    """A failed result for a bare awakeable id raises in the handler, with the worker's sentence."""
    name = uuid4().hex
    invocation = await env.ingress.send("Page/wait", name)
    headers = {"kallback-token": await env.announced(name), "kallback-status": "failed"}
    env.worker.send(b'{"type": "OutOfStock", "detail": "no basil"}', headers)
    with pytest.raises(Exception, match="no basil"):
        await env.ingress.attach(invocation)
