"""Programs of `kallback dev` as child processes: started, started anew, reported when they end, stopped."""

from __future__ import annotations

import io
import os
import re
import signal
import threading
from collections.abc import Generator
from pathlib import Path

import pytest

from kallback.testing.dev.output import ProgramOutput
from kallback.testing.dev.program_group import ProgramGroup
from kallback.testing.dev.programs import Program
from kallback.testing.polling import eventually
from kallback.testing.servers.ports import accepts, free_ports


def program(
    name: str, *arguments: str, port: int | None = None, reloads: bool = True, is_shown: bool = True
) -> Program:
    """A program of the developer; `kallback version` ends by itself."""
    return Program(
        name, arguments, {}, port=port or free_ports(1)[0], reloads=reloads, is_own=reloads, is_shown=is_shown
    )


class Group:
    """A group and what it says."""

    def __init__(self, *programs: Program, out: io.StringIO | None = None) -> None:
        self.out = out or io.StringIO()
        output = ProgramOutput(self.out, [each.name for each in programs])
        self.group = ProgramGroup(
            programs,
            output,
            dict(os.environ),
            admin_url="http://127.0.0.1:9",
            own_services=frozenset(),
            end=threading.Event(),
            starts_again="it starts again when a file changes",
        )

    @property
    def said(self) -> str:
        """All lines."""
        return self.out.getvalue()


class Terminal(io.StringIO):
    """A terminal."""

    def isatty(self) -> bool:
        """Return that it is one."""
        return True


@pytest.fixture
def app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A service's module in the current folder."""
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "dev_app.py"
    path.write_text("import restate\napp = restate.app([restate.Service('Pages')])\n")
    return path


@pytest.fixture
def service(app: Path) -> Generator[tuple[Group, Path, int]]:
    """A service that runs."""
    (port,) = free_ports(1)
    group = Group(program("service", "service", "dev_app:app", "--port", str(port), port=port))
    group.group.start()
    yield group, app, port
    group.group.stop()


def test_a_module_that_cannot_be_imported_is_said_and_mended_by_the_next_change(
    service: tuple[Group, Path, int],
) -> None:
    """The program that ends says why; it is reported once, and starts again with the next change."""
    group, app, port = service
    working = app.read_text()
    app.write_text("def (\n")
    group.group.restart()
    for _ in range(2):
        group.group.report_ended()
    assert "correct " in group.said
    assert group.said.count("ended with exit code 2; it starts again when a file changes") == 1
    app.write_text(working)
    group.group.restart()
    assert accepts(port)


def test_what_imports_nothing_of_the_developer_is_left_alone(service: tuple[Group, Path, int]) -> None:
    """A bridge need not start anew at each change."""
    group, app, _ = service
    (port,) = free_ports(1)
    other = Group(program("other", "service", "dev_app:app", "--port", str(port), port=port, reloads=False))
    other.group.start()
    app.write_text("def (\n")
    other.group.restart()
    assert accepts(port)
    other.group.stop()
    assert not accepts(port)
    assert group.group.is_running("service")


async def test_what_a_program_writes_has_its_name_in_front() -> None:
    """Whole lines, also the last one; of a program whose lines are not shown they are when it ends."""
    shown, quiet = program("shown", "version"), program("quiet", "version", is_shown=False)
    group = Group(shown, quiet)
    group.group.start()
    group.group.report_ended()
    await eventually("the lines", lambda: bool(re.search(r"^shown \| kallback", group.said, re.MULTILINE)))
    assert re.search(r"^quiet \| kallback", group.said, re.MULTILINE)
    assert group.said.count("ended with exit code 0") == 2


def test_a_program_that_runs_is_said_with_its_process(service: tuple[Group, Path, int]) -> None:
    """So that one can be killed, to see what a crash does; a new start is a new process."""
    group, _, _ = service
    group.group.restart()
    assert len(set(re.findall(r"^service \| \*\* runs as process (\d+)$", group.said, re.MULTILINE))) == 2


async def test_a_program_that_was_killed_is_said_and_started_by_its_name(service: tuple[Group, Path, int]) -> None:
    """The signal has its name, and other programs go on."""
    group, _, port = service
    [pid] = re.findall(r"runs as process (\d+)", group.said)
    os.kill(int(pid), signal.SIGKILL)
    await eventually("the end", lambda: not group.group.is_running("service"))
    group.group.report_ended()
    assert "was killed by SIGKILL; it starts again when a file changes" in group.said
    group.group.restart(["other"])
    assert not accepts(port)
    group.group.restart(["service"])
    assert accepts(port)


async def test_a_service_that_restate_does_not_take_goes_on(service: tuple[Group, Path, int]) -> None:
    """Restate's words are said, here those of a missing one."""
    group, _, port = service
    asked = Program("asked", ("service", "dev_app:app", "--port", "1"), {}, port=port, is_service=True)
    group.group._register(asked)
    assert re.search(r"asked +\| \*\* Restate does not take http://127.0.0.1:\d+: ConnectError", group.said)


@pytest.mark.parametrize(("no_colour", "front"), [("", "\x1b[36mshown |\x1b[0m "), ("1", "shown | ")])
async def test_on_a_terminal_a_program_writes_as_on_one(
    no_colour: str, front: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its name has a colour, unless colours are off, and its lines end as in a file."""
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("NO_COLOR", no_colour)
    group = Group(program("shown", "version"), out=Terminal())
    group.group.start()
    await eventually("its line", lambda: front in group.said)
    assert "\r" not in group.said
