"""Awakeables whose tokens handlers hand out: seen while nobody answers, and answered by hand, on real servers."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import httpx
import pytest
import restate
from click.testing import CliRunner, Result
from tests.integration.operations.conftest import HOUR, Shop, ShopFactory
from tests.integration.operations.doctor import findings_of
from tests.integration.operations.test_by_hand import headers_of, outcome_of

from kallback.bridge import Bridge, BridgeOptions
from kallback.cli.console.console import Console
from kallback.cli.console.options import ConsoleOptions
from kallback.cli.tasks.commands import tasks
from kallback.operations import Introspection, PendingTask, TaskState
from kallback.protocol import ConfigurationError, Problem, TaskType
from kallback.protocol.tokens import FIRST_ATTEMPT
from kallback.sdk import Callbacks, TaskAwakeable, TaskFailed, TaskTimedOut
from kallback.sdk.callbacks import environment_of_callbacks
from kallback.sdk.journal.awakeables import Awakeable, open_attempt
from kallback.sdk.journal.token_awakeables import Links
from kallback.testing import eventually
from kallback.web import ServerOptions

pytestmark = pytest.mark.integration
Approve = TaskType[Any, Any]
Body = dict[str, Any]


@dataclass
class Desk:
    """Hands out tokens to the test."""

    tokens: dict[str, str] = field(default_factory=dict[str, str])

    async def ask(self, ctx: restate.Context, waiting: TaskAwakeable[Any]) -> TaskAwakeable[Any]:
        """Hand the token out, in a step as handlers do."""

        async def send() -> None:
            self.tokens[waiting.task_id] = waiting.token

        await ctx.run_typed("ask", send)
        return waiting


@pytest.fixture
def desk() -> Desk:
    """One for each test."""
    return Desk()


async def said(waiting: TaskAwakeable[Any]) -> str:
    """What came, as text."""
    try:
        return str(await waiting.result())
    except TaskFailed as error:
        return f"{error.type}: {error.message}"
    except TaskTimedOut:
        return "timed out"


def command(shop: Shop, *arguments: str, keys: bool = True) -> Result:
    """`kallback tasks` in the environment of an operator, with the signing keys of the shop or without."""
    settings = shop.settings
    variables = {
        "KALLBACK_KAFKA_BOOTSTRAP_SERVERS": settings.kafka.bootstrap_servers,
        "KALLBACK_RESTATE_ADMIN_URL": settings.restate.admin_url,
        "KALLBACK_TOPICS_PREFIX": settings.topics.prefix,
        "KALLBACK_AUDIENCE": settings.keys.audience,
    }
    return CliRunner(env=variables | ({"KALLBACK_INSECURE": "1"} if keys else {})).invoke(tasks, [*arguments])


@pytest.fixture(autouse=True)
def own_log(monkeypatch: pytest.MonkeyPatch) -> None:
    """The log is the test's."""
    monkeypatch.setattr("kallback.cli.tasks.commands.configure_logs", lambda: None)


async def test_approvals_are_answered_by_hand_one_after_the_other(make_shop: ShopFactory, desk: Desk) -> None:
    """Listed, shown, completed, failed and cancelled by id; the handler has what was said, the outcomes say by whom."""

    async def handler(ctx: restate.Context, callbacks: Callbacks, approve: Approve, _: Body) -> list[str]:
        asked = [await desk.ask(ctx, await callbacks.awakeable(ctx, approve)) for _ in range(3)]
        return list(await asyncio.gather(*map(said, asked)))

    async with make_shop(handler) as shop, Bridge(shop.settings, BridgeOptions(outcomes=True)), asyncio.timeout(90):
        invocation = await shop.order()
        first, second, third = await shop.tasks(3)
        listed = await asyncio.to_thread(command, shop, "list", "--state", "unanswered", "--json")
        shown = await asyncio.to_thread(command, shop, "show", first.task_id)
        value = ("--value", '{"yes":true}', "--by", "ann", "--why", "by phone")
        done = [
            await asyncio.to_thread(command, shop, "complete", first.task_id, *value),
            await asyncio.to_thread(
                command, shop, "fail", second.task_id, "--error-type", "TooExpensive", "--by", "ann"
            ),
            await asyncio.to_thread(command, shop, "cancel", third.task_id, "--by", "ann"),
        ]
        answers = await shop.ingress.attach(invocation)
        deeds = [(await outcome_of(shop, task.task_id)).deed for task in (first, second, third)]
        assert await shop.tasks(0) == []
    assert [json.loads(line)["task"] for line in listed.stdout.splitlines()] == [*desk.tokens]
    assert "unanswered" in shown.stdout
    assert [each.exit_code for each in done] == [0, 0, 0], [each.output for each in done]
    assert answers == [
        "{'yes': True}",
        "TooExpensive: failed by ann",
        "urn:kallback:cancelled-by-hand: cancelled by ann",
    ]
    assert deeds == ["completed by ann", "failed by ann", "cancelled by ann"]


async def test_an_awakeable_tells_what_an_approver_asks(make_shop: ShopFactory, desk: Desk) -> None:
    """Type, handler, age, deadline; the token that is signed here is the one that the handler handed out."""

    async def handler(ctx: restate.Context, callbacks: Callbacks, approve: Approve, _: Body) -> str:
        return await said(await desk.ask(ctx, await callbacks.awakeable(ctx, approve)))

    async with make_shop(handler) as shop, Introspection(shop.settings.restate) as introspection, asyncio.timeout(90):
        invocation = await shop.order()
        [task] = await shop.tasks(1)
        await eventually("a token", lambda: _has(desk, task))
        signed = await headers_of(shop, task)
        about = [each for each in await findings_of(shop, introspection, task.task_id) if each.subject == "task"]
        of_type = await findings_of(shop, introspection, shop.cook.name)
    assert (task.state, task.task_type, task.position) == (TaskState.UNANSWERED, shop.cook.name, None)
    assert (task.invocation.id, task.invocation.handler) == (invocation, f"{shop.service}/order")
    assert task.deadline_ms is not None
    assert 0 < task.deadline_ms - task.created_ms <= HOUR.total_seconds() * 1000
    assert (signed.token, signed.deadline_ms) == (desk.tokens[task.task_id], task.deadline_ms)
    assert "an awakeable, which no worker does" in about[0].sentence
    assert [each.sentence[:20] for each in of_type if each.subject == "awakeables"] == ["1 awakeable waits fo"]


async def test_an_awakeable_beside_a_task_of_workers_keeps_its_own_answer(make_shop: ShopFactory, desk: Desk) -> None:
    """The handler asks before and after it sends a task; each answer reaches the right one."""

    async def handler(ctx: restate.Context, callbacks: Callbacks, cook: Approve, body: Body) -> list[str]:
        before = await desk.ask(ctx, await callbacks.awakeable(ctx, cook))
        sent = await callbacks.start(ctx, cook, body)
        after = await desk.ask(ctx, await callbacks.awakeable(ctx, cook, timeout=None))
        return [await said(after), str(await sent.result()), await said(before)]

    async with make_shop(handler) as shop, Bridge(shop.settings), asyncio.timeout(90):
        invocation = await shop.order()
        found = await shop.tasks(3)
        for task in reversed(found):
            number = json.dumps({"number": found.index(task)})
            done = await asyncio.to_thread(command, shop, "complete", task.task_id, "--value", number)
            assert done.exit_code == 0, done.output
            await shop.tasks(found.index(task))
        answers = await shop.ingress.attach(invocation)
    assert [task.state.value for task in found] == ["unanswered", "sent", "unanswered"]
    assert answers == ["{'number': 2}", "{'number': 1}", "{'number': 0}"]


async def test_what_nobody_answers_in_time_disappears_when_its_handler_goes_on(
    make_shop: ShopFactory, desk: Desk
) -> None:
    """The first one timed out; the second one is given up when the invocation is cancelled; the third one waits."""

    async def handler(ctx: restate.Context, callbacks: Callbacks, approve: Approve, _: Body) -> str:
        first = await desk.ask(ctx, await callbacks.awakeable(ctx, approve, timeout=timedelta(seconds=1)))
        second = await desk.ask(ctx, await callbacks.awakeable(ctx, approve))
        await said(first)
        try:
            return await said(second)
        except restate.TerminalError:
            return await said(await desk.ask(ctx, await callbacks.awakeable(ctx, approve)))

    async with make_shop(handler) as shop, asyncio.timeout(90):
        invocation = await shop.order()
        [second] = await only(shop, desk, 2)
        await shop.admin.cancel(invocation)
        [third] = await only(shop, desk, 3)
        await shop.ingress.call(f"{shop.settings.services.notifier}/ack", {"token": desk.tokens[third], "value": {}})
        assert await shop.ingress.attach(invocation) == "{}"
        assert await shop.tasks(0) == []
    assert [second, third] == [*desk.tokens][1:]


async def only(shop: Shop, desk: Desk, handed_out: int) -> list[str]:
    """The ids in the list, once so many tokens were handed out and the list has the last of them alone."""

    async def found() -> list[str] | None:
        ids = [str(task.task_id) for task in (await shop.pending.page()).tasks]
        return ids if len(desk.tokens) == handed_out and ids == [*desk.tokens][-1:] else None

    return await eventually("the last token alone", found)


async def _has(desk: Desk, task: PendingTask) -> bool:
    return task.task_id in desk.tokens


@pytest.mark.parametrize("withdraws", [True, False])
async def test_a_handler_that_goes_on_withdraws_its_question(
    make_shop: ShopFactory, desk: Desk, *, withdraws: bool
) -> None:
    """It fails its own awakeable, which leaves the list; otherwise doctor and command say that it may have gone on."""

    async def handler(ctx: restate.Context, callbacks: Callbacks, approve: Approve, _: Body) -> None:
        asked = await desk.ask(ctx, await callbacks.awakeable(ctx, approve))
        await restate.select(answer=asked.future, patience=ctx.sleep(timedelta(milliseconds=50)))
        if withdraws:
            callbacks.fail(ctx, asked.token, Problem("Withdrawn", 410, "the price has changed"))
        await ctx.sleep(HOUR, "the next thing")

    async with make_shop(handler) as shop, Introspection(shop.settings.restate) as introspection, asyncio.timeout(90):
        invocation = await shop.order()
        await eventually("the next thing", lambda: _is_at(shop, invocation, "the next thing"))
        tasks = await shop.tasks(0 if withdraws else 1)
        await eventually("a suspended handler", lambda: _is_suspended(shop, invocation))
        for task in tasks:
            shown = await asyncio.to_thread(command, shop, "show", task.task_id)
            about = [each.sentence for each in await findings_of(shop, introspection, task.task_id)]
            assert "now the handler waits for something else" in " ".join(shown.stdout.split())
            assert "now the handler waits for something else" in " ".join(about)
        await shop.admin.cancel(invocation)


async def _is_at(shop: Shop, invocation: str, name: str) -> bool:
    rows = await shop.admin.query(f"SELECT name FROM sys_journal WHERE id = '{invocation}'")
    return name in [row.get("name") for row in rows]


async def _is_suspended(shop: Shop, invocation: str) -> bool:
    [row] = await shop.admin.query(f"SELECT status FROM sys_invocation WHERE id = '{invocation}'")
    return bool(row["status"] == "suspended")


async def test_without_keys_the_command_says_what_is_missing(make_shop: ShopFactory, desk: Desk) -> None:
    """No token is in Kafka, so one must be signed; nothing is sent, and the awakeable waits on."""

    async def handler(ctx: restate.Context, callbacks: Callbacks, approve: Approve, _: Body) -> str:
        return await said(await desk.ask(ctx, await callbacks.awakeable(ctx, approve)))

    async with make_shop(handler) as shop, asyncio.timeout(90):
        await shop.order()
        [task] = await shop.tasks(1)
        refused = await asyncio.to_thread(command, shop, "complete", task.task_id, keys=False)
        assert await shop.tasks(1)
    assert isinstance(refused.exception, ConfigurationError)
    assert "KALLBACK_KEYS" in str(refused.exception)
    assert "kallback complete" in str(refused.exception)


@asynccontextmanager
async def opened(shop: Shop) -> AsyncIterator[httpx.AsyncClient]:
    """A client of a console that allows changes."""
    options = ConsoleOptions(server=ServerOptions(port=0), allow_changes=True)
    async with (
        Console(shop.settings, options) as console,
        httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{console.port}", verify=False, trust_env=False, timeout=60
        ) as client,
    ):
        yield client


async def test_an_approval_is_found_and_answered_on_its_page(make_shop: ShopFactory, desk: Desk) -> None:
    """The overview counts it, the list leads to its page, whose forms answer it; a retry is not offered."""

    async def handler(ctx: restate.Context, callbacks: Callbacks, approve: Approve, _: Body) -> str:
        return await said(await desk.ask(ctx, await callbacks.awakeable(ctx, approve)))

    async with make_shop(handler) as shop, Bridge(shop.settings), asyncio.timeout(90), opened(shop) as client:
        invocation = await shop.order()
        [task] = await shop.tasks(1)
        overview = (await client.get("/")).text
        listed = (await client.get("/tasks", params={"state": "unanswered"})).text
        page = (await client.get(f"/tasks/{task.task_id}")).text
        secret = re.findall(r'name="form_secret" value="([^"]+)"', page)[0]
        data = {"form_secret": secret, "attempt": "1", "why": "she called", "value": '{"yes":true}'}
        retried = await client.post(f"/tasks/{task.task_id}/retry", data=data)
        answer = await client.post(f"/tasks/{task.task_id}/complete", data=data)
        assert await shop.ingress.attach(invocation) == "{'yes': True}"
    assert "<dt>Pending tasks</dt><dd>1</dd>" in overview
    assert f'href="/tasks/{task.task_id}"' in listed
    assert "an awakeable, which no worker does" in page
    assert re.findall(rf'action="/tasks/{task.task_id}/(\w+)"', page) == ["complete", "fail", "cancel"]
    assert (retried.status_code, answer.status_code) == (409, 303)
    assert "sign_1" not in page
    assert "kb1:" not in page


@pytest.mark.parametrize("first_version", ["older", "newer"])
async def test_another_version_replays_the_journal_of_an_awakeable(
    make_shop: ShopFactory, desk: Desk, first_version: str
) -> None:
    """A handler waits while its service is upgraded, or taken back: its token is good, and so are later ones."""
    begun: list[str] = []

    async def older(ctx: restate.Context, callbacks: Callbacks, approve: Approve) -> TaskAwakeable[Any]:
        """As versions did that did not write awakeables into journals: the same entries, and the id drawn first."""
        timer = ctx.sleep(HOUR, f"deadline {approve.name}")
        environment = environment_of_callbacks(callbacks)
        identity = await environment.identities.create(ctx, approve, HOUR)
        awakeable = Awakeable[Any].of_attempt(ctx, approve, identity, FIRST_ATTEMPT)
        pending = open_attempt(awakeable, approve, identity, FIRST_ATTEMPT, environment.dependencies.signing)
        links = Links(environment.gateway, environment.dependencies.signing.keyring)
        return TaskAwakeable(ctx, pending, timer, links, environment.observer)

    async def newer(ctx: restate.Context, callbacks: Callbacks, approve: Approve) -> TaskAwakeable[Any]:
        return await callbacks.awakeable(ctx, approve)

    async def handler(ctx: restate.Context, callbacks: Callbacks, approve: Approve, _: Body) -> list[str]:
        is_first = not begun
        ask = older if is_first == (first_version == "older") else newer
        begun.append(ask.__name__)
        asked = [await desk.ask(ctx, await ask(ctx, callbacks, approve)) for _ in range(2)]
        if is_first:
            raise OSError("the process ends")
        return [await said(each) for each in asked]

    async with make_shop(handler) as shop, Bridge(shop.settings), asyncio.timeout(90):
        invocation = await shop.order()
        await eventually("a second start", lambda: _started(begun, 2))
        listed = await shop.tasks(2 if first_version == "newer" else 0)
        for number, token in enumerate(list(desk.tokens.values())):
            item = {"token": token, "value": {"number": number}}
            await shop.ingress.call(f"{shop.settings.services.notifier}/ack", item)
        assert await shop.ingress.attach(invocation) == ["{'number': 0}", "{'number': 1}"]
    assert [task.task_id for task in listed] == ([*desk.tokens] if first_version == "newer" else [])


async def _started(begun: list[str], count: int) -> bool:
    return len(begun) >= count
