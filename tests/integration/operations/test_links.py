"""The link of a pending task, from the command to the handler, on real servers."""

from __future__ import annotations

import asyncio

import httpx
import pytest
import restate
from click.testing import CliRunner
from tests.integration.operations.conftest import Shop, ShopFactory
from tests.integration.operations.test_by_hand import Body, Cook

from kallback.bridge import Bridge
from kallback.cli.tasks.commands import tasks
from kallback.gateway import Gateway, GatewayOptions
from kallback.sdk import Callbacks
from kallback.web import ServerOptions

pytestmark = pytest.mark.integration


async def call(ctx: restate.Context, callbacks: Callbacks, cook: Cook, body: Body) -> str:
    """Wait for one task."""
    return str(await callbacks.call(ctx, cook, body))


def variables(shop: Shop) -> dict[str, str]:
    """The environment of an operator who may read the task topic, and has no signing key."""
    settings = shop.settings
    return {
        "KALLBACK_KAFKA_BOOTSTRAP_SERVERS": settings.kafka.bootstrap_servers,
        "KALLBACK_RESTATE_ADMIN_URL": settings.restate.admin_url,
        "KALLBACK_TOPICS_PREFIX": settings.topics.prefix,
        "KALLBACK_AUDIENCE": settings.keys.audience,
    }


async def test_a_post_to_the_printed_link_resumes_the_handler(
    make_shop: ShopFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once the task has ended, there is no link any more."""
    monkeypatch.setattr("kallback.cli.tasks.commands.configure_logs", lambda: None)  # the log is the test's
    options = GatewayOptions(server=ServerOptions(port=0))
    async with (
        make_shop(call) as shop,
        Bridge(shop.settings),
        Gateway(shop.settings, options) as gateway,
        httpx.AsyncClient(verify=False, trust_env=False) as client,
        asyncio.timeout(90),
    ):
        invocation = await shop.order()
        [task] = await shop.tasks(1)
        command = ["link", task.task_id, "--gateway", f"http://127.0.0.1:{gateway.port}"]
        printed = await asyncio.to_thread(CliRunner(env=variables(shop)).invoke, tasks, command)
        answer = await client.post(printed.stdout.strip(), json={"minutes": 12})
        assert answer.status_code == 202
        assert await shop.ingress.attach(invocation) == "{'minutes': 12}"
        await shop.tasks(0)
        again = await asyncio.to_thread(CliRunner(env=variables(shop)).invoke, tasks, command)
    assert (again.stdout, again.exit_code) == ("", 1)
