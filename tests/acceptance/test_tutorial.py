"""The tutorial, step by step as it is printed.

A block `sh` is typed; with a title it runs in a terminal of its own, until a comment `stop TITLE`. A block `text` is
what the block before it says. A block `python` with `add` is written, any other one is already there. What starts
servers or containers is left out: the tests' servers stand for it. Such hints are comments, which readers do not see.
"""

from __future__ import annotations

import base64
import os
import re
import secrets
import subprocess
import sys
import time
from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from tests.acceptance.conftest import Installation

from kallback.testing.servers.ports import accepts, free_ports
from kallback.testing.servers.processes import ChildProcess

pytestmark = pytest.mark.acceptance
PAGE = Path(__file__).parents[2] / "docs" / "tutorial.md"
STEP = re.compile(
    r'^(?:<!-- (\w+="[^>]*) -->\n\n)?```(\w+)([^\n]*)\n(.*?)^```$|^<!-- (start|stop) (\w+) -->$',
    re.DOTALL | re.MULTILINE,
)
OPTION = re.compile(r'(\w+)="([^"]*)"')
LEFT_OUT = {"everything", "servers", "containers"}
SETUP = "python3 -m venv"
LIMIT_S = 90.0


@dataclass
class Reader:
    """Somebody who does what the page says."""

    folder: Path
    env: Mapping[str, str]
    terminals: dict[str, str] = field(default_factory=dict[str, str])
    running: dict[str, ChildProcess] = field(default_factory=dict[str, ChildProcess])
    said: str = ""

    def start(self, title: str) -> None:
        """Type a command in a terminal of its own."""
        command = ["bash", "-c", f"exec {self.terminals[title]}"]
        log = self.folder.parent / f"{title}-{time.monotonic_ns()}.log"
        self.running[title] = ChildProcess(title, command, log=log, env=self.env, cwd=self.folder)
        self.running[title].start()
        if title == "service":
            port = int(self.env["SERVICE_PORT"])
            self.running[title].wait_ready(lambda: accepts(port))

    def stop(self, title: str) -> None:
        """Ctrl-C."""
        self.running.pop(title).stop()

    def type(self, text: str, exit_code: int) -> None:
        """Type commands; `cd` stays."""
        shell = f"set -e; {text}\necho; pwd"
        ended = subprocess.run(
            ["bash", "-c", shell.replace("curl ", "curl -sS --fail-with-body ")],
            cwd=self.folder,
            env=dict(self.env),
            capture_output=True,
            text=True,
            check=False,
            timeout=LIMIT_S,
        )
        assert ended.returncode == exit_code, f"{text}{ended.stdout}{ended.stderr}"
        self.said = ended.stdout
        if exit_code == 0:
            self.folder = Path(ended.stdout.rstrip().rpartition("\n")[2])

    def type_until(self, text: str, wanted: str, times: int) -> None:
        """Type a command until what it says has a word so often."""
        deadline = time.monotonic() + LIMIT_S
        while self.said.count(wanted) < times:
            assert time.monotonic() < deadline, f"{text} says no {wanted!r}: {self.said}"
            self.type(text, 0)

    def write(self, path: Path, text: str, place: str) -> None:
        """Add to a file."""
        old = path.read_text() if path.exists() else ""
        if place == "before app":
            before, app, after = old.partition("\napp = ")
            assert app
            path.write_text(f"{before}\n{text}\n{app}{after}")
        else:
            path.write_text(f"{old}\n\n{text}" if old else text)


@pytest.fixture
def reader(installation: Installation, tmp_path: Path) -> Generator[Reader]:
    """With an empty folder, and the variables that `kallback dev` would print."""
    reader = Reader(
        tmp_path,
        {
            **os.environ,
            **installation.env,
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "KALLBACK_KEYS": f"k1:{base64.b64encode(secrets.token_bytes(32)).decode()}",
            "SERVICE_PORT": str(free_ports(1)[0]),
        },
    )
    yield reader
    for process in reader.running.values():
        process.kill()


def test_the_tutorial_works_as_it_is_printed(reader: Reader) -> None:
    """Every command, every file, every answer."""
    for hints, language, options, text, does, title in STEP.findall(PAGE.read_text("utf-8")):
        wanted = dict(OPTION.findall(hints + options))
        if does:
            (reader.start if does == "start" else reader.stop)(title)
        elif language == "text":
            assert text.strip() in reader.said
        elif language == "python" and "add" in wanted:
            reader.write(reader.folder / wanted["title"], text, wanted["add"])
        elif language == "python":
            assert text in (reader.folder / wanted["title"]).read_text()
        elif wanted.get("title") in LEFT_OUT or text.startswith(SETUP):
            continue
        elif "title" in wanted:
            port = reader.env["SERVICE_PORT"]
            reader.terminals[wanted["title"]] = text.strip().replace(":app", f":app --port {port}")
            reader.start(wanted["title"])
        elif "until" in wanted:
            reader.type_until(text, wanted["until"], int(wanted["times"]))
        else:
            reader.type(text.replace("9080", reader.env["SERVICE_PORT"]), int(wanted.get("exit", "0")))
