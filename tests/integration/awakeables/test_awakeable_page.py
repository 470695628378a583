"""What Restate's page on awakeables promises, with the external side on Kafka: each behaviour on real servers."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest

if TYPE_CHECKING:
    from conftest import Scene

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
async def test_json_travels_both_ways(scene: Scene, sent: bytes | None, received: Any) -> None:
    """A handler sends any JSON and gets any JSON; an empty or null value is null."""
    request = {"id": uuid4().hex, "nested": [1, {"x": None}]}
    invocation = await scene.ingress.send("Page/ask", request)
    scene.worker.answer(await scene.worker.task(request), sent)
    assert await scene.ingress.attach(invocation) == received


async def test_a_waiting_invocation_suspends_and_outlives_its_process(scene: Scene) -> None:
    """Nothing runs while the handler waits, and a service that was stopped in between resumes it."""
    request = uuid4().hex
    invocation = await scene.ingress.send("Page/ask", request)
    task = await scene.worker.task(request)
    await scene.suspended(invocation)
    await asyncio.to_thread(scene.service.stop)
    scene.worker.answer(task, b'"after the restart"')
    await asyncio.to_thread(scene.service.start)
    assert await scene.ingress.attach(invocation) == "after the restart"


async def test_a_keyed_object_blocks_its_own_key_only(scene: Scene) -> None:
    """While one key waits, its next call queues, another key answers, and the result arrives all the same."""
    request, key = uuid4().hex, uuid4().hex
    sitting = await scene.ingress.send(f"Desk/{key}/sit", request)
    task = await scene.worker.task(request)
    ringing = await scene.ingress.send(f"Desk/{key}/ring")
    assert await scene.ingress.call(f"Desk/other-{key}/ring") == f"other-{key}"
    blocked = await scene.admin.invocation(ringing)
    assert blocked is not None
    assert blocked["status"] in {"pending", "inboxed"}
    scene.worker.answer(task, b'"seated"')
    assert await scene.ingress.attach(sitting) == "seated"
    assert await scene.ingress.attach(ringing) == key


async def test_another_service_completes(scene: Scene) -> None:
    """A handler of any service completes a plain awakeable with `complete_awakeable`."""
    name = uuid4().hex
    invocation = await scene.ingress.send("Page/wait", name)
    awakeable_id = await scene.announced(name)
    await scene.ingress.call("Page/complete", {"id": awakeable_id, "payload": {"by": "a service"}})
    assert await scene.ingress.attach(invocation) == {"by": "a service"}


async def test_the_notifier_service_completes(scene: Scene) -> None:
    """Whoever reaches the ingress completes by token through NotifierService, and gets a verdict."""
    name = uuid4().hex
    invocation = await scene.ingress.send("Page/wait_for_token", name)
    token = await scene.announced(name)
    verdict = await scene.ingress.call("NotifierService/ack", {"token": token, "value": {"by": "notifier"}})
    assert verdict == {"outcome": "delivered"}
    assert await scene.ingress.attach(invocation) == {"by": "notifier"}


async def test_the_notifier_service_says_no_instead_of_trying_for_ever(scene: Scene) -> None:
    """A forged token gets a verdict at once."""
    verdict = await scene.ingress.call("NotifierService/ack", {"token": "kb1:nonsense", "value": 1})
    assert (verdict["outcome"], verdict["reason"]) == ("unverified", "malformed-token")


async def test_a_token_sent_by_hand_completes_over_kafka(scene: Scene) -> None:
    """A token that travelled in any other way is good on the results topic, also in structured mode."""
    name = uuid4().hex
    invocation = await scene.ingress.send("Page/wait_for_token", name)
    token = await scene.announced(name)
    scene.worker.send(f'{{"kallback": {{"version": 1, "token": "{token}"}}, "data": {{"by": "value"}}}}'.encode(), {})
    assert await scene.ingress.attach(invocation) == {"by": "value"}


async def test_a_bare_awakeable_id_completes_where_the_operator_allows_it(scene: Scene) -> None:
    """Hand-written `ctx.awakeable()` code works over Kafka with a bridge that allows bare awakeables."""
    name = uuid4().hex
    invocation = await scene.ingress.send("Page/wait", name)
    scene.worker.send(b'{"by": "bare id"}', {"kallback-token": await scene.announced(name)})
    assert await scene.ingress.attach(invocation) == {"by": "bare id"}


async def test_a_failed_bare_awakeable_is_rejected(scene: Scene) -> None:
    """A failed result for a bare awakeable id raises in the handler, with the worker's sentence."""
    name = uuid4().hex
    invocation = await scene.ingress.send("Page/wait", name)
    headers = {"kallback-token": await scene.announced(name), "kallback-status": "failed"}
    scene.worker.send(b'{"type": "OutOfStock", "detail": "no basil"}', headers)
    with pytest.raises(Exception, match="no basil"):
        await scene.ingress.attach(invocation)
