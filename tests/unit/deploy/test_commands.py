"""The commands that the pages on deployment print are those of `kallback`, with options that they take."""

from __future__ import annotations

import re
import shlex
import stat
import subprocess
from pathlib import Path
from typing import Final

import click
import pytest

from kallback.cli.app import app
from kallback.protocol import Keyring

DOCS: Final = Path(__file__).parents[3] / "docs"
PAGES: Final = ("deploy", "own-image", "rotate-keys")
INLINE: Final = re.compile(r"(?<!`)`(kallback [^`\n]+)`(?!`)")
BLOCK: Final = re.compile(r"^```sh[^\n]*\n(.*?)^```", re.DOTALL | re.MULTILINE)
IN_A_CONTAINER: Final = re.compile(r"^docker run print-shop (.*)$", re.MULTILINE)
"""The image's entry point is `kallback`."""
TASK_ID: Final = "AAECAwQFBgcICQoL"


def commands(page: str) -> list[str]:
    """What a page prints that begins with `kallback`, or runs it in a container; the end of a pipe is left out."""
    lines = [line for block in BLOCK.findall(page) for line in block.replace("\\\n", " ").splitlines()]
    found = [*INLINE.findall(page), *(line for line in lines if line.startswith("kallback "))]
    found += [f"kallback {arguments}" for arguments in IN_A_CONTAINER.findall(page)]
    return [re.split(r" [|>&;]", each)[0] for each in found]


def parse(command: str) -> None:
    """Raise what the command line would say of it; a command that is only named may lack its arguments."""
    arguments = [TASK_ID if word == "ID" else word for word in shlex.split(command, comments=True)[1:]]
    current: click.Command = app
    context = click.Context(app, info_name="kallback")
    while isinstance(current, click.Group) and arguments:
        child = current.get_command(context, arguments[0])
        assert child is not None, command
        context = click.Context(child, parent=context, info_name=arguments[0])
        current, arguments = child, arguments[1:]
    if arguments:
        current.make_context(current.name, arguments, parent=context.parent)


@pytest.mark.parametrize(
    "command", sorted({each for name in PAGES for each in commands((DOCS / f"{name}.md").read_text("utf-8"))})
)
def test_a_command_of_the_pages_on_deployment_is_taken(command: str) -> None:
    """Nothing is run: names, options and their values are read as the command line reads them."""
    parse(command)


def test_a_command_that_is_not_taken_is_found() -> None:
    """An option that is gone, and a command that is gone."""
    with pytest.raises(click.NoSuchOption):
        parse("kallback bridge --outcome-topic x")
    with pytest.raises(AssertionError):
        parse("kallback bridges run")


def test_the_command_that_writes_keys_writes_keys(tmp_path: Path) -> None:
    """Readable for its owner alone, as the page says."""
    [command] = re.findall(r"`(printf 'k1:[^`]+ > keys)`", (DOCS / "deploy.md").read_text("utf-8"))
    [closing] = re.findall(r"\(`(chmod [^`]+)`\)", (DOCS / "deploy.md").read_text("utf-8"))
    subprocess.run(["sh", "-euc", f"{command}\n{closing}"], cwd=tmp_path, check=True)
    keys = tmp_path / "keys"
    assert Keyring.parse(keys.read_text("utf-8")).key_ids == ("k1",)
    assert stat.S_IMODE(keys.stat().st_mode) == stat.S_IRUSR | stat.S_IWUSR
