"""Help: complete, plain, and laid out for terminal and script."""

from __future__ import annotations

import inspect
import os
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from kallback.cli.app import app
from kallback.cli.help import TextArgument, TextCommand, TextGroup

VOCABULARY = tomllib.loads((Path(__file__).parents[1] / "vocabulary.toml").read_text("utf-8"))
VERSE = re.compile(
    r"\b(nobody|whoever|so many|so much|has its|stands?|anybody|for ever|time-outs?|no \w+ is taken|say what|mend|died"
    r"|in the hands|perhaps|all the same)\b|; (it|they|that|this) \w+ not\b",
    re.IGNORECASE,
)
"""Turns of phrase that are no plain technical English."""
PLAIN_WORDS = {"hands", "reach"}
"""Replaced as names, but plain words in a sentence."""


def commands(group: click.Group, path: str = "kallback") -> Iterator[tuple[str, click.Command]]:
    """Every command with its path, groups included."""
    yield path, group
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        if isinstance(command, click.Group):
            yield from commands(command, f"{path} {name}")
        else:
            yield f"{path} {name}", command


COMMANDS = dict(commands(app))


def texts_of(command: click.Command) -> Iterator[str]:
    """The help of a command and of its parameters."""
    yield command.help or ""
    for each in command.params:
        yield help_of(each)


def help_of(parameter: click.Parameter) -> str:
    """The help of one parameter."""
    return parameter.text if isinstance(parameter, TextArgument) else getattr(parameter, "help", None) or ""


def run(path: str, *arguments: str) -> str:
    """What a command prints."""
    result = CliRunner().invoke(app, [*path.split()[1:], *arguments])
    return result.output


@pytest.mark.parametrize("path", COMMANDS)
def test_every_command_has_help(path: str) -> None:
    """Sentences that end with a period, and a first line that fits into a list of commands."""
    help_text = COMMANDS[path].help or ""
    assert help_text.split("\n\n")[0].rstrip().endswith(".")
    assert isinstance(COMMANDS[path], (TextCommand, TextGroup))


@pytest.mark.parametrize("path", [path for path in COMMANDS if path.count(" ") == 2])
def test_every_summary_fits_into_the_list_of_commands(path: str) -> None:
    """It is not cut."""
    assert not COMMANDS[path].get_short_help_str(70).endswith("...")


def test_an_example_is_not_wrapped() -> None:
    """It is copied."""
    example = 'kallback fail - --error-type OutOfStock --status 422 --detail "no basil" < token.txt'
    assert f"{example}\n" in run("kallback fail", "--help")


@pytest.mark.parametrize("path", COMMANDS)
def test_every_option_and_argument_has_help(path: str) -> None:
    """One or more sentences, with a period at the end."""
    assert {each.name: help_of(each) for each in COMMANDS[path].params if not help_of(each).endswith(".")} == {}


@pytest.mark.parametrize("path", COMMANDS)
def test_help_uses_the_terms_of_the_glossary(path: str) -> None:
    """No word that vocabulary.toml replaces in the command line, and no verse."""
    words = {*VOCABULARY["words"]["everywhere"], *VOCABULARY["words"]["cli"]} - PLAIN_WORDS
    replaced = re.compile(rf"\b({'|'.join(map(re.escape, words))})\b", re.IGNORECASE)
    allowed = re.compile("|".join(re.escape(phrase).replace("\\ ", "[ -]") for phrase in VOCABULARY["allowed"]))
    texts = allowed.sub("", "\n".join(texts_of(COMMANDS[path])))
    assert [match[0] for pattern in (replaced, VERSE) for match in pattern.finditer(texts)] == []


@pytest.mark.parametrize("path", [path for path, command in COMMANDS.items() if not isinstance(command, click.Group)])
def test_every_command_shows_an_example_or_needs_no_argument(path: str) -> None:
    """An argument is easier to copy than to guess."""
    command = COMMANDS[path]
    required = any(each.required for each in command.params)
    assert not required or f"\n    {path} " in inspect.cleandoc(command.help or "")


@pytest.mark.parametrize("path", COMMANDS)
@pytest.mark.parametrize("columns", [60, 80, 140])
def test_help_fits_into_the_terminal(path: str, columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """And is never wider than a hundred columns."""
    monkeypatch.setattr("shutil.get_terminal_size", lambda *_: os.terminal_size((columns, 24)))
    command = COMMANDS[path]
    lines = command.context_class(command, info_name=path, max_content_width=100).get_help().splitlines()
    assert [line for line in lines if len(line) > min(columns, 100) and not line.startswith(" " * 6 + "kallback")] == []


def test_a_script_gets_help_without_colours() -> None:
    """A pipe is no terminal."""
    assert "\x1b" not in run("kallback bridge", "--help")


@pytest.mark.parametrize(("no_color", "coloured"), [("", True), ("1", False)])
def test_help_on_a_terminal_has_colours_unless_no_color_is_set(
    no_color: str,
    coloured: bool,  # noqa: FBT001 - a parameter of the test
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Headings are bold, names are coloured."""
    monkeypatch.setenv("NO_COLOR", no_color)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr("kallback.cli.help.sys.stdout.isatty", lambda: True)
    context = app.make_context("kallback", ["version"])
    assert ("\x1b[" in context.get_help()) is coloured


def test_options_are_shown_by_topic() -> None:
    """Twenty options are read by topic, not from A to Z."""
    output = run("kallback bridge", "--help")
    sections = ("Replicas and restarts:", "Flow control:", "Results:", "Health and tracing:", "Options:")
    places = [output.index(name) for name in sections]
    assert places == sorted(places)


def test_an_option_before_its_command_is_told_where_it_belongs() -> None:
    """It is known, but not there."""
    assert "Options follow the command: app COMMAND --health-port" in run("kallback", "--health-port", "1", "bridge")
    assert "app dead-letters COMMAND --since" in run("kallback dead-letters", "--since", "2h", "list")


def test_a_misspelled_option_is_told_how_it_is_written() -> None:
    """One that is nearly right."""
    assert "--dry-run" in run("kallback topics create", "--dryrun")


@pytest.mark.parametrize(
    ("arguments", "wanted"),
    [
        (["-y6upAAAAAAAAAAA"], ("-y6upAAAAAAAAAAA", None, False)),
        (["--6upAAAAAAAAAAA", "--flag"], ("--6upAAAAAAAAAAA", None, True)),
        (["--flag", "-y6upAAAAAAAAAAA", "--text", "x"], ("-y6upAAAAAAAAAAA", "x", True)),
        (["--text", "-y6upAAAAAAAAAAA", "id"], ("id", "-y6upAAAAAAAAAAA", False)),
        (["--", "-y6upAAAAAAAAAAA"], ("-y6upAAAAAAAAAAA", None, False)),
    ],
)
def test_a_task_id_that_begins_with_a_dash_is_an_argument(
    arguments: list[str], wanted: tuple[str, str | None, bool]
) -> None:
    """One in 64 ids begins so; options and their values stay what they are."""
    found: list[tuple[str, str | None, bool]] = []

    @click.command(cls=TextCommand)
    @click.argument("task_id")
    @click.option("--text")
    @click.option("--flag", is_flag=True)
    def command(*, task_id: str, text: str | None, flag: bool) -> None:
        found.append((task_id, text, flag))

    result = CliRunner().invoke(command, arguments)
    assert (result.exit_code, found) == (0, [wanted]), result.output


@pytest.mark.parametrize("arguments", [["-x"], ["--unknown"], ["-y6up"]])
def test_an_unknown_option_stays_an_error(arguments: list[str]) -> None:
    """Only the shape of a task id is an argument."""
    result = CliRunner().invoke(app, ["tasks", "progress", *arguments])
    assert (result.exit_code, "No such option" in result.output) == (2, True)


@pytest.mark.parametrize("argument", ["\udcff", "a\x00b"])
def test_an_argument_that_is_no_text_is_refused(argument: str) -> None:
    """Bytes that are not UTF-8 arrive as surrogates, which nothing can encode."""
    result = CliRunner().invoke(app, ["tasks", "progress", argument])
    assert (result.exit_code, "it must be UTF-8" in result.output) == (2, True)
