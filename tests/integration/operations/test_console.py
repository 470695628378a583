"""The console on real servers: what it shows of pending tasks and dead letters."""

from __future__ import annotations

import asyncio
import base64
import re
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
import restate
from tests.integration.operations.conftest import Shop, ShopFactory

from kallback.cli.console.console import Console
from kallback.cli.console.options import ConsoleOptions
from kallback.kafka import ConfluentProducer, DeadLetters, Position, Record, find_record
from kallback.protocol import Attempt, AwakeableId, Keyring, TaskType, Token, completed_headers, task_id_of
from kallback.sdk import Callbacks
from kallback.web import ServerOptions

pytestmark = pytest.mark.integration
AWAKEABLE = AwakeableId("sign_1" + base64.urlsafe_b64encode(bytes(27) + b"\x11").rstrip(b"=").decode())
MARKUP = '<script>alert("x")</script>'


async def call(ctx: restate.Context, callbacks: Callbacks, cook: TaskType[Any, Any], body: dict[str, Any]) -> None:
    """Wait for one task."""
    await callbacks.call(ctx, cook, {**body, "note": MARKUP})


@asynccontextmanager
async def opened(shop: Shop, **options: Any) -> AsyncGenerator[httpx.AsyncClient]:
    """A client of a console of the shop's environment, in which there are dead letters, too."""
    topics, record = shop.settings.topics, Record("elsewhere", 1, 5, 0, b"key", MARKUP.encode(), ())
    async with ConfluentProducer(shop.settings.kafka) as producer:
        for reason in ("late", "no-token"):
            await DeadLetters(producer, topics.dead_letters, group="bridges").publish(record, reason, MARKUP)
    async with (
        Console(shop.settings, ConsoleOptions(server=ServerOptions(port=0), **options)) as console,
        httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{console.port}", verify=False, trust_env=False, timeout=60
        ) as client,
    ):
        yield client


async def test_a_pending_task_is_found_and_shown(make_shop: ShopFactory) -> None:
    """From the overview to the list to the task, with the request that is in Kafka."""
    async with make_shop(call) as shop, asyncio.timeout(90):
        await shop.order(7)
        [task] = await shop.tasks(1)
        async with opened(shop) as client:
            overview = await client.get("/")
            listed = await client.get("/tasks", params={"type": shop.cook.name})
            shown = await client.get(f"/tasks/{task.task_id}")

    assert "<dt>Pending tasks</dt><dd>1</dd>" in overview.text
    assert f'href="/tasks/{task.task_id}"' in listed.text
    assert "{&quot;number&quot;:7,&quot;note&quot;:" in shown.text
    assert MARKUP not in shown.text
    assert task.invocation.id in shown.text


async def test_dead_letters_are_listed_and_shown(make_shop: ShopFactory) -> None:
    """The newest first, each with its reason, and its bytes as text."""
    async with make_shop(call) as shop, asyncio.timeout(90), opened(shop) as client:
        overview = await client.get("/")
        listed = await client.get("/dead-letters")
        shown = await client.get("/dead-letters/0:0")
        outcomes = await client.get("/outcomes")

    assert "its task is unknown" in overview.text
    assert "--outcomes" in outcomes.text
    assert listed.text.index("no-token") < listed.text.index("late")
    assert "elsewhere[1]@5" in shown.text
    assert MARKUP not in shown.text


async def test_a_task_is_completed_by_hand(make_shop: ShopFactory) -> None:
    """The form's result is in the results topic, with the task's token and the operator's name."""
    async with make_shop(call) as shop, asyncio.timeout(90):
        await shop.order(7)
        [task] = await shop.tasks(1)
        async with opened(shop, allow_changes=True) as client:
            page = (await client.get(f"/tasks/{task.task_id}")).text
            secret = re.findall(r'name="form_secret" value="([^"]+)"', page)[0]
            data = {"form_secret": secret, "attempt": "1", "why": "the oven broke", "value": '{"shelf": "B3"}'}
            answer = await client.post(f"/tasks/{task.task_id}/complete", data=data)
        record = await find_record(shop.settings.kafka, Position(shop.settings.topics.results, 0, 0))

    assert answer.status_code == 303
    assert record is not None
    headers = dict(record.headers)
    assert record.value == b'{"shelf": "B3"}'
    assert (headers["kallback-by"], headers["kallback-why"]) == (b"console", b"the oven broke")
    assert (headers["kallback-token"] or b"").startswith(b"kb1:")


async def test_all_tasks_of_a_type_are_cancelled_by_hand(make_shop: ShopFactory) -> None:
    """Their records are looked up together; each result has its own token, and the operator's name."""
    async with make_shop(call) as shop, asyncio.timeout(90):
        for number in range(3):
            await shop.order(number)
        tasks = await shop.tasks(3)
        async with opened(shop, allow_changes=True) as client:
            client.follow_redirects = True
            page = (await client.get("/tasks/all", params={"type": shop.cook.name})).text
            fields = dict(re.findall(r'type="hidden" name="([^"]+)" value="([^"]*)"', page))
            done = await client.post("/tasks/all/cancel", data={**fields, "why": "power cut"})
            again = await client.post("/tasks/all/cancel", data={**fields, "why": "power cut"})
        results = [
            await find_record(shop.settings.kafka, Position(shop.settings.topics.results, 0, at)) for at in range(3)
        ]

    assert f"3 pending tasks (3 {shop.cook.name})." in page
    assert "Cancelled 3 of 3 tasks." in done.text
    assert again.url == done.url
    found = [result for result in results if result is not None]
    assert {(result.key or b"").decode() for result in found} == {task.task_id for task in tasks}
    assert [dict(result.headers)["kallback-why"] for result in found] == [b"power cut"] * 3
    assert len({dict(result.headers)["kallback-token"] for result in found}) == 3


async def test_dead_letters_are_replayed_from_a_page(make_shop: ShopFactory) -> None:
    """A check says what would be sent, and that is sent, once; those of another topic are refused."""
    async with make_shop(call) as shop, asyncio.timeout(90), opened(shop, allow_changes=True) as client:
        client.follow_redirects = True
        results = shop.settings.topics.results
        signed = Keyring.insecure().sign(
            Token(shop.cook.name, task_id_of(b"1" * 12), Attempt(1), AWAKEABLE), shop.settings.keys.audience
        )
        async with ConfluentProducer(shop.settings.kafka) as producer:
            letters = DeadLetters(producer, shop.settings.topics.dead_letters, group="bridges")
            record = Record(results, 0, 5, 0, b"key", b"{}", completed_headers(signed))
            await letters.publish(record, "late", "")
            secret = re.findall(r'name="form_secret" value="([^"]+)"', (await client.get("/dead-letters")).text)[0]
            data = {"form_secret": secret, "all": "1", "again": "1"}
            checked = await client.post("/dead-letters/replay/check", data=data)
            await letters.publish(record, "late", "after the check")
        plan = re.findall(r'name="plan" value="([^"]+)"', checked.text)[0]
        order = {"form_secret": secret, "plan": plan, "why": "the key is back"}
        done, again = [await client.post("/dead-letters/replay/send", data=order) for _ in range(2)]
        sent, more = [await find_record(shop.settings.kafka, Position(results, 0, offset)) for offset in range(2)]

    assert "1 dead letter (1 late)" in checked.text
    assert "2 dead letters not replayed" in checked.text
    assert "Replayed 1 of 1 dead letter." in done.text
    assert again.url == done.url
    assert sent is not None
    assert sent.value == b"{}"
    assert more is None


@pytest.mark.parametrize(
    ("address", "status"),
    [
        ("/tasks?cursor=2026-01-01T00:00:00Z~inv_1~0", 200),
        ("/tasks?cursor=2026-13-01T00:00:00Z~inv_1~0", 400),
        ("/tasks?cursor=2261-12-31T23:59:59.999999999Z~inv_1~999999999", 200),
        ("/tasks?cursor=2262-12-31T23:59:59Z~inv_1~0", 400),
        ("/tasks?type=%00&handler=%27", 200),
        ("/tasks/%27%20OR%201=1", 404),
        ("/dead-letters/0:999999999999999999", 404),
        ("/dead-letters/999999999:0", 404),
    ],
)
async def test_odd_addresses_are_no_failures(make_shop: ShopFactory, address: str, status: int) -> None:
    """Neither of the console nor of the servers that it asks."""
    async with make_shop(call) as shop, asyncio.timeout(90), opened(shop) as client:
        assert (await client.get(address)).status_code == status


async def test_a_result_that_does_not_fit_is_refused_and_can_be_corrected(make_shop: ShopFactory) -> None:
    """The form comes back with the sentence; nothing is in the results topic before the second try."""
    async with make_shop(call) as shop, asyncio.timeout(90):
        await shop.order(7)
        [task] = await shop.tasks(1)
        async with opened(shop, allow_changes=True, types=(shop.cook,)) as client:
            page = (await client.get(f"/tasks/{task.task_id}")).text
            secret = re.findall(r'name="form_secret" value="([^"]+)"', page)[0]
            data = {"form_secret": secret, "attempt": "1", "why": "the oven broke", "value": "[1]"}
            refused = await client.post(f"/tasks/{task.task_id}/complete", data=data)
            sent = await client.post(f"/tasks/{task.task_id}/complete", data={**data, "value": "{}"})
        record = await find_record(shop.settings.kafka, Position(shop.settings.topics.results, 0, 0))

    assert (refused.status_code, sent.status_code) == (409, 303)
    assert f"the result does not fit task type {shop.cook.name}, nothing was sent" in refused.text
    assert ">[1]</textarea>" in refused.text
    assert record is not None
    assert record.value == b"{}"
