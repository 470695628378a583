"""Tables and lists of facts: plain for scripts, laid out for people, harmless in both."""

from __future__ import annotations

import io
import subprocess
import sys
from collections.abc import Callable
from contextlib import redirect_stdout
from typing import Protocol

import click
import pytest

from kallback.cli.tables import print_facts, print_table

HEADINGS = ("ID", "REASON", "SOURCE")
ROWS = [("0:1", "late", "kallback.results/0@1"), ("1:20", "unknown-key", "kallback.results/11@248")]
HOSTILE = "[bold red]gone[/] :smile: \x1b[2J\x07 https://example.com"


class Screen(io.StringIO):
    """A terminal."""

    def isatty(self) -> bool:
        """Yes."""
        return True


class Terminal(Protocol):
    """Calls a function whose output goes to a terminal of some width; what it shows."""

    def __call__(self, show: Callable[[], None], *, columns: int = 80, no_color: str = "") -> str:
        """Call it."""
        ...


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """A terminal with colours."""

    def call(show: Callable[[], None], *, columns: int = 80, no_color: str = "") -> str:
        monkeypatch.setenv("COLUMNS", str(columns))
        monkeypatch.setenv("TERM", "xterm-256color")
        monkeypatch.setenv("NO_COLOR", no_color)
        with redirect_stdout(screen := Screen()):
            show()
        return screen.getvalue()

    return call


@pytest.mark.parametrize("on_terminal", [False, True])
def test_a_cell_of_great_length_lengthens_no_other_row(
    terminal: Terminal, capsys: pytest.CaptureFixture[str], *, on_terminal: bool
) -> None:
    """Anyone who may write to a topic chooses its texts; of a million characters a thousand are shown."""
    rows = [("0:1", "r" * 1_000_000, "topic"), *[("0:2", "late", "topic")] * 100]

    def show() -> None:
        print_table(HEADINGS, rows)

    if on_terminal:
        shown = terminal(show)
    else:
        show()
        shown = capsys.readouterr().out
    assert 900 < shown.count("r") < 1_400
    assert len(shown) < 25_000


def test_a_script_gets_aligned_rows_only(capsys: pytest.CaptureFixture[str]) -> None:
    """Neither headings nor colours nor wrapped cells, whatever the width."""
    print_table(HEADINGS, ROWS)
    assert capsys.readouterr().out == (
        "0:1   late         kallback.results/0@1\n"
        "1:20  unknown-key  kallback.results/11@248\n"
    )  # fmt: skip


def test_a_terminal_gets_headings_and_colours(terminal: Terminal) -> None:
    """Each heading is in the first line."""
    shown = terminal(lambda: print_table(HEADINGS, ROWS))
    assert all(heading in shown.splitlines()[0] for heading in HEADINGS)
    assert "\x1b[36m" in shown


def test_no_color_is_respected(terminal: Terminal) -> None:
    """A cell has no colour."""
    assert "\x1b[36m" not in terminal(lambda: print_table(HEADINGS, ROWS), no_color="1")


@pytest.mark.parametrize("columns", [20, 40, 80, 200])
def test_nothing_is_cut_off_on_a_narrow_terminal(terminal: Terminal, columns: int) -> None:
    """Cells are wrapped: every character is shown, and no line is longer than the terminal."""
    facts = [("source", "kallback.results/11@248"), ("detail", "x" * 150)]
    lines = click.unstyle(terminal(lambda: print_facts(facts), columns=columns)).splitlines()
    assert max(map(len, lines)) <= columns
    assert sum(line.count("x") for line in lines) == 150


@pytest.mark.parametrize("columns", [20, 40, 60, 80])
def test_a_table_that_does_not_fit_is_lines(terminal: Terminal, columns: int) -> None:
    """No id is cut off or folded, so that it can be copied; the terminal wraps the lines."""
    headings = ("TIME", "OUTCOME", "TYPE", "TASK", "BY", "WHY")
    row = ("2026-01-31 17:38:15Z", "delivered", "restaurant.prepare", "q8Tzl0b2R6m1cV9x", "alice", "phoned the kitchen")
    first, *lines = terminal(lambda: print_table(headings, [row, row]), columns=columns).splitlines()
    assert first.split() == list(headings)
    assert lines == ["  ".join(row)] * 2


def test_hostile_text_is_shown_on_a_terminal(terminal: Terminal) -> None:
    """Neither control characters nor rich's markup, emoji and links have an effect."""
    shown = terminal(lambda: print_table(("TEXT", "TEXT"), [(HOSTILE, HOSTILE)]), columns=200)
    shown += terminal(lambda: print_facts([("text", HOSTILE)]), columns=200)
    assert ("\x1b[2J" in shown, "\x07" in shown, "\x1b]8" in shown) == (False, False, False)
    assert shown.count(r"[bold red]gone[/] :smile: \x1b[2J\x07 https://example.com") == 3


def test_hostile_text_is_shown_to_a_script(capsys: pytest.CaptureFixture[str]) -> None:
    """A script's output often ends on a terminal."""
    print_table(("TEXT",), [(HOSTILE,)])
    print_facts([("text", f"{HOSTILE}\n{HOSTILE}")])
    out = capsys.readouterr().out
    assert ("\x1b" in out, "\x07" in out, "[bold red]gone[/]" in out) == (False, False, True)


def test_facts_with_several_lines_are_aligned(capsys: pytest.CaptureFixture[str]) -> None:
    """The second line begins below the first."""
    print_facts([("value", "one\ntwo"), ("", "three")])
    assert capsys.readouterr().out == "value  one\n       two\n       three\n"


def test_rich_is_imported_on_a_terminal_only() -> None:
    """It costs start-up time."""
    code = (
        "import sys; from kallback.cli.tables import print_facts, print_table;"
        "print_table(('A',), [('b',)]); print_facts([('a', 'b')]); print('rich' in sys.modules)"
    )
    assert subprocess.check_output([sys.executable, "-c", code], text=True).splitlines()[-1] == "False"


@pytest.mark.parametrize("package", ["workers", "bridge", "kafka"])
def test_a_package_does_not_import_the_command_lines_libraries(package: str) -> None:
    """Neither click nor rich nor structlog: they are for the command."""
    code = (
        f"import sys, kallback.{package};"
        "print(sorted({name.partition('.')[0] for name in sys.modules} & {'click', 'rich', 'structlog'}))"
    )
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "[]"
