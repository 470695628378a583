"""The page on calls of handlers: its commands are typed in a shell, on a real Restate, and the answers compared."""

from __future__ import annotations

import asyncio
import os
import re
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
import restate

from kallback.testing import Admin, Ingress, RestateServer, eventually, serve_endpoint

pytestmark = pytest.mark.integration
PAGE = (Path(__file__).parents[3] / "docs" / "call-handlers.md").read_text("utf-8")
STEP = re.compile(r"(?:<!-- (.*?) -->\n\n)?```(sh|text)\n(.*?)```", re.DOTALL)
waiting: dict[str, str] = {}
documents = restate.Service("Documents")
movies = restate.Workflow("Publish")


async def work(ctx: restate.Context, name: str) -> None:
    """What takes as long as the reader needs for the next step."""
    awakeable_id, done = ctx.awakeable(type_hint=str)
    waiting[name] = awakeable_id
    await done


@documents.handler()
async def publish(ctx: restate.Context, url: str) -> str:
    """At once, unless the name says otherwise."""
    if url != "page.md":
        await work(ctx, url)
    return f"published at {url.replace('.md', '.html')}"


@movies.main()
async def run(ctx: restate.WorkflowContext, name: str) -> str:
    """A workflow."""
    await work(ctx, name)
    return f"published at {name.replace('.mp4', '.webm')}"


@pytest.fixture
async def env(restate_server: RestateServer) -> AsyncIterator[dict[str, str]]:
    """The variables that `kallback dev` prints; a new Restate knows neither key nor workflow."""
    waiting.clear()
    async with serve_endpoint(restate.app([documents, movies]), restate_server):
        yield os.environ | {
            "KALLBACK_RESTATE_INGRESS_URL": restate_server.ingress_url,
            "KALLBACK_RESTATE_ADMIN_URL": restate_server.admin_url,
        }


async def typed(command: str, env: dict[str, str], *, refused: bool) -> str:
    """Type a command; returns what it prints."""
    shell = "set -e; " + command.replace("curl ", f"curl -sS {'' if refused else '--fail-with-body '}")
    process = await asyncio.create_subprocess_exec("bash", "-c", shell, env=env, stdout=PIPE, stderr=PIPE)
    said, trouble = await process.communicate()
    assert process.returncode == 0, (command, said, trouble)
    return said.decode()


async def go_on(url: str) -> None:
    """Let all handlers that wait go on."""
    await eventually("a handler that waits", lambda: waiting)
    async with Ingress(url) as ingress:
        for name in list(waiting):
            await ingress.resolve(waiting.pop(name), "done")


async def test_the_page_says_what_restate_answers(env: dict[str, str]) -> None:
    """Every command, in its order."""
    said = ""
    for hint, language, text in STEP.findall(PAGE):
        if language == "text":
            for line in text.strip().splitlines():
                assert line in said
            continue
        if hint == "goes on":
            await go_on(env["KALLBACK_RESTATE_INGRESS_URL"])
        if hint.startswith("invocation="):
            async with Admin(env["KALLBACK_RESTATE_ADMIN_URL"]) as admin:
                [row] = await admin.query("SELECT id FROM sys_invocation WHERE target = 'Publish/cat/run'")
            text = text.replace("inv_...", row["id"])  # noqa: PLW2901 - as a reader replaces it
        said = await typed(text, env, refused=hint == "refused")
    await go_on(env["KALLBACK_RESTATE_INGRESS_URL"])


async def test_the_user_interface_is_where_the_page_says(env: dict[str, str]) -> None:
    """A page for people."""
    async with httpx.AsyncClient() as client:
        answer = await client.get(f"{env['KALLBACK_RESTATE_ADMIN_URL']}/ui/")
    assert (answer.status_code, answer.headers["content-type"].partition(";")[0]) == (200, "text/html")
