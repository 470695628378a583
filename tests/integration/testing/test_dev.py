"""`kallback dev` on real servers: what it prints holds, programs follow changes, and data outlives it."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import httpx
import pytest

from kallback.cli.new.project import write_project
from kallback.settings import Settings
from kallback.testing.servers.ports import is_free

pytestmark = [pytest.mark.integration, pytest.mark.local_servers]

SHOP: Final = ("--service=print_shop.service:app", "--worker=print_shop.worker:worker", "--types=print_shop.tasks")
PATIENCE_S: Final = 120.0


class RunningDev:
    """A `kallback dev` that is up.

    Attributes:
        exported: the variables that it prints.
        said: all that it has printed.
    """

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.exported: dict[str, str] = {}
        self.said = ""

    async def wait_for(self, words: str) -> str:
        """Read on to a line with these words, and return it."""
        assert self.process.stdout is not None
        async with asyncio.timeout(PATIENCE_S):
            while line := (await self.process.stdout.readline()).decode():
                self.said += line
                if line.startswith("export "):
                    name, _, value = line.removeprefix("export ").strip().partition("=")
                    self.exported[name] = value
                if words in line:
                    return line
        raise AssertionError(f"kallback dev ended before it said {words!r}: {self.said}")

    async def call(self, body: str) -> str:
        """Call the project's handler, again until it answers: it may be about to start anew."""
        deadline = time.monotonic() + PATIENCE_S
        url = f"{self.exported['KALLBACK_RESTATE_INGRESS_URL']}/Documents/publish"
        async with httpx.AsyncClient(trust_env=False, timeout=PATIENCE_S) as http:
            while (answer := await http.post(url, json=body)).status_code != httpx.codes.OK:
                assert time.monotonic() < deadline, answer.text
        return str(answer.json())

    async def page(self, path: str) -> str:
        """Return a page of the console."""
        console = next(line.split()[-1] for line in self.said.splitlines() if "in the web browser: " in line)
        async with httpx.AsyncClient(trust_env=False, timeout=PATIENCE_S) as http:
            return (await http.get(console + path)).text

    async def interrupt(self) -> int | None:
        """Ctrl-C; return the exit code."""
        self.process.send_signal(signal.SIGINT)
        self.said += (await self.process.communicate())[0].decode()
        return self.process.returncode


@asynccontextmanager
async def dev(folder: Path, *options: str) -> AsyncGenerator[RunningDev]:
    """Type the command in a folder."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "kallback.cli",
        "dev",
        *options,
        cwd=folder,
        stdout=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    running = RunningDev(process)
    try:
        await running.wait_for("Ctrl-C stops everything")
        yield running
    finally:
        if process.returncode is None:
            os.killpg(process.pid, signal.SIGKILL)
            await process.communicate()


ELSEWHERE: Final = """
from kallback.protocol import TaskType

bind = TaskType("print-shop.bind", request=str, result=str)
"""
"""A type whose worker runs elsewhere."""


async def has_topic(env: Mapping[str, str], topic: str) -> None:
    """Fail unless a topic exists."""
    command = [sys.executable, "-m", "kallback.cli", "topics", "check", topic]
    checked = await asyncio.create_subprocess_exec(*command, env={**os.environ, **env})
    assert await checked.wait() == 0


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A new project's folder."""
    write_project("print-shop", tmp_path / "shop")
    return tmp_path / "shop"


async def test_dev_prints_what_to_export_and_stops_on_ctrl_c(tmp_path: Path) -> None:
    """The printed lines are settings that kallback accepts, and console and gateway answer; Ctrl-C ends everything."""
    async with dev(tmp_path, "--process=http://127.0.0.1:9") as running:
        settings = Settings.from_env(running.exported)
        async with httpx.AsyncClient(trust_env=False) as http:
            link = await http.get(f"{settings.gateway.url}/v1/kb1:link")
        assert "POST" in link.text
        assert "<dt>Pending tasks</dt><dd>0</dd>" in await running.page("")
        assert "http://127.0.0.1:9<" in await running.page("/processes")
        assert await running.interrupt() == 0
    assert settings.keys.require().key_ids == ("k1",)
    assert "Stopping" in running.said
    assert is_free(int(settings.kafka.bootstrap_servers.rpartition(":")[2]))


async def test_an_application_follows_its_files(project: Path) -> None:
    """Service, worker and bridge run, and the console shows them; a change and a mended error are followed."""
    worker = project / "print_shop" / "worker.py"
    working = worker.read_text()
    (project / "print_shop" / "elsewhere.py").write_text(ELSEWHERE)
    async with dev(project, *SHOP, "--types=print_shop.elsewhere") as running:
        await has_topic(running.exported, "print-shop.bind")
        assert await running.call("page.md") == "published at page.html"
        assert "Topics of tasks: print-shop.bind, print-shop.convert\n" in running.said
        assert (await running.page("/processes")).count("running") >= 4
        worker.write_text("def (\n")
        await running.wait_for("ended with exit code 2; it starts again when a file changes")
        worker.write_text(working.replace(".html", ".pdf"))
        await running.wait_for("takes tasks of")
        assert await running.call("page.md") == "published at page.pdf"
        assert await running.interrupt() == 0


async def test_data_outlives_the_command(project: Path) -> None:
    """A handler that waits for its worker is answered in the next run, on the same ports, with the same key."""
    async with dev(project, SHOP[0], "--data=.kallback") as running:
        first = running.exported
        async with httpx.AsyncClient(trust_env=False) as http:
            url = f"{first['KALLBACK_RESTATE_INGRESS_URL']}/Documents/publish/send"
            sent = (await http.post(url, json="page.txt")).json()["invocationId"]
        second = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "kallback.cli", "dev", "--data=.kallback", cwd=project, stderr=asyncio.subprocess.PIPE
        )
        assert b"is in use by another kallback dev" in (await second.communicate())[1]
        assert await running.interrupt() == 0
    async with dev(project, *SHOP, "--data=.kallback") as running:
        assert running.exported == first
        async with httpx.AsyncClient(trust_env=False, timeout=PATIENCE_S) as http:
            url = f"{first['KALLBACK_RESTATE_INGRESS_URL']}/restate/invocation/{sent}/attach"
            assert (await http.get(url)).json() == "not published: page.txt is no Markdown"
        assert await running.interrupt() == 0
