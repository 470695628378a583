"""The page on deploying: its commands that look at an old deployment and remove it, typed on a real Restate."""

from __future__ import annotations

import asyncio
import json
import os
import re
from asyncio.subprocess import PIPE
from pathlib import Path

import pytest
import restate

from kallback.testing import Ingress, RestateServer, eventually, serve_endpoint

pytestmark = pytest.mark.integration
PAGE = (Path(__file__).parents[3] / "docs" / "deploy.md").read_text("utf-8")
[BLOCK] = [block for block in re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL) if "pinned_deployment_id" in block]
_DEPLOYMENTS, QUERY, DELETE = BLOCK.splitlines()
waiting: list[str] = []
shop = restate.Service("DeployedShop")


@shop.handler()
async def order(ctx: restate.Context) -> str:
    """Take a step, as each call of a task does, which binds it to its deployment; then wait for an answer."""
    await ctx.run_typed("create task", lambda: 1)
    awakeable_id, answer = ctx.awakeable(type_hint=str)
    waiting.append(awakeable_id)
    return await answer


async def typed(command: str, restate_server: RestateServer) -> str:
    """Type a command; returns what it prints."""
    env = os.environ | {"KALLBACK_RESTATE_ADMIN_URL": restate_server.admin_url}
    process = await asyncio.create_subprocess_shell(f"curl -sSf {command[4:]}", env=env, stdout=PIPE)
    printed, _ = await process.communicate()
    assert process.returncode == 0
    return printed.decode()


async def deployments_of(service: str, restate_server: RestateServer) -> set[str]:
    """The ids of the deployments that have a service."""
    known = json.loads(await typed(_DEPLOYMENTS.partition("#")[0], restate_server))["deployments"]
    return {each["id"] for each in known if service in [it["name"] for it in each["services"]]}


async def test_an_old_deployment_is_removed_when_its_invocations_have_ended(restate_server: RestateServer) -> None:
    """The query names it while a handler waits there, although a newer one is registered, and then no more."""

    async def pinned() -> dict[str, int]:
        rows = json.loads(await typed(QUERY, restate_server))["rows"]
        found = {row["pinned_deployment_id"]: row["invocations"] for row in rows if "pinned_deployment_id" in row}
        return {each: count for each, count in found.items() if each in own}  # of other tests there are more

    async def has_ended() -> bool:
        return not await pinned()

    own = set[str]()
    waiting.clear()
    app = restate.app([shop])
    async with serve_endpoint(app, restate_server), Ingress(restate_server.ingress_url) as ingress:
        await ingress.send("DeployedShop/order")
        await eventually("the handler", lambda: waiting)
        own |= await deployments_of(shop.name, restate_server)
        async with serve_endpoint(restate.app([shop]), restate_server):
            [(old, count)] = (await eventually("its deployment", pinned)).items()
            assert count == 1
            await ingress.resolve(waiting[0], "soup")
            await eventually("its end", has_ended)
            await typed(DELETE.replace("dp_...", old), restate_server)
            assert old not in await typed(_DEPLOYMENTS.partition("#")[0], restate_server)
