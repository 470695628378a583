"""What is typed while `kallback dev` runs."""

from __future__ import annotations

import io
import os
from collections.abc import Generator
from pathlib import Path
from typing import TextIO

import pytest

from kallback.testing.dev.typed_lines import TypedLines, restart_wanted, starts_again, usage

NAMES = ("gateway", "bridge", "worker")


@pytest.fixture
def terminal() -> Generator[tuple[int, TextIO]]:
    """Both ends of a terminal: the one of the keyboard, and the one of the program."""
    keyboard, its = os.openpty()
    with os.fdopen(its) as source:
        yield keyboard, source
    os.close(keyboard)


@pytest.mark.parametrize(
    ("line", "wanted"),
    [("r", ()), ("r worker", ("worker",)), ("r worker bridge", ("worker", "bridge")), ("r oven", None), ("help", None)],
)
def test_a_line_names_programs(line: str, wanted: tuple[str, ...] | None) -> None:
    """Without names it is for all that a change of a file concerns; other lines start nothing."""
    assert restart_wanted(line, NAMES) == wanted


def test_what_can_be_typed_is_said() -> None:
    """With the names."""
    assert "gateway, bridge, worker" in usage(NAMES)


@pytest.mark.parametrize(
    ("watched", "typed", "says"),
    [
        (True, True, "when a file changes, or type r"),
        (True, False, "when a file changes"),
        (False, True, "type r"),
        (False, False, "kallback dev anew"),
    ],
)
def test_how_a_program_that_ended_starts_again_is_said(*, watched: bool, typed: bool, says: str) -> None:
    """Only what works is said."""
    said = starts_again(watched=watched, typed=typed)
    assert says in said
    assert ("type r" in said) is typed


def test_lines_of_a_terminal_are_read_when_they_are_there(terminal: tuple[int, TextIO]) -> None:
    """Nothing waits for them, and empty ones are none."""
    keyboard, source = terminal
    lines = TypedLines(source)
    assert (lines.is_open, lines.read()) == (True, [])
    os.write(keyboard, b"r\n")
    assert lines.read() == ["r"]
    os.write(keyboard, b"\n")
    assert lines.read() == []


def test_after_the_end_of_the_input_nothing_is_read(terminal: tuple[int, TextIO]) -> None:
    """Ctrl-D ends the input, not the programs."""
    keyboard, source = terminal
    lines = TypedLines(source)
    os.write(keyboard, b"\x04")
    assert (lines.read(), lines.is_open) == ([], False)


def test_lines_of_a_named_pipe_are_read_from_each_of_its_writers(tmp_path: Path) -> None:
    """Where there is no terminal, `echo r > PIPE` starts programs anew, the second time as the first."""
    os.mkfifo(tmp_path / "typed")
    with os.fdopen(os.open(tmp_path / "typed", os.O_RDONLY | os.O_NONBLOCK)) as source:
        lines, read = TypedLines(source), list[list[str]]()
        for text in ("r\n", "r worker\n"):
            read.append(lines.read())
            with (tmp_path / "typed").open("w") as writer:
                writer.write(text)
            read.append(lines.read())

    assert read == [[], ["r"], [], ["r worker"]]


def test_a_file_and_a_device_have_no_lines(tmp_path: Path) -> None:
    """What a file holds was not typed now; a background process has the null device."""
    (tmp_path / "script").write_text("r\n")
    for path in (tmp_path / "script", Path(os.devnull)):
        with path.open() as source:
            assert TypedLines(source).is_open is False


def test_what_is_no_terminal_has_no_lines() -> None:
    """Such as the input of a job of CI, or none at all."""
    closed = io.StringIO()
    closed.close()
    assert [TypedLines(each).read() for each in (None, io.StringIO("r\n"), closed)] == [[], [], []]
