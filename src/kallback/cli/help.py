"""How help looks: options and commands in sections, coloured on a terminal only.

Click's own formatter lays the text out, so output that is piped stays plain and the same. A help library was measured
and not taken: see docs/decisions/0018-help-from-click.md.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, TypeVar

import click

from kallback.documentation import page_address

Decorated = TypeVar("Decorated", bound=Callable[..., Any])

_ARGUMENTS: Final = "Arguments"
_OPTIONS: Final = "Options"
_PAGE: Final = re.compile(r"\bdocs/([a-z-]+)\.md\b")
_TASK_ID: Final = re.compile(r"-[A-Za-z0-9_-]{15}", re.ASCII)
"""A task id that begins with a dash: 16 characters, base64url."""


def is_coloured() -> bool:
    """Whether standard output shows colours: a terminal, and no NO_COLOR (https://no-color.org)."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


class HelpText(click.HelpFormatter):
    """Click's formatter with bold headings and coloured names."""

    def write_heading(self, heading: str) -> None:
        """Write the name of a section."""
        super().write_heading(_styled(heading, bold=True))

    def write_text(self, text: str) -> None:
        """Write paragraphs; an indented one is an example, whose lines stay as they are.

        A page that is named as in the repository gets its address on the site, because an installation has no pages.
        """
        paragraphs = _PAGE.sub(lambda found: page_address(found[1]), text).split("\n\n")
        super().write_text("\n\n".join(f"\b\n{each}" if each.startswith(" ") else each for each in paragraphs))

    def write_dl(self, rows: Iterable[tuple[str, str]], col_max: int = 30, col_spacing: int = 2) -> None:
        """Write names with their descriptions."""
        super().write_dl([(_styled(name, fg="cyan"), text) for name, text in rows], col_max, col_spacing)


def _styled(text: str, *, fg: str | None = None, bold: bool | None = None) -> str:
    return click.style(text, fg=fg, bold=bold) if is_coloured() else text


class HelpContext(click.Context):
    """A context whose help is laid out by `HelpText`."""

    formatter_class = HelpText


class TextOption(click.Option):
    """An option that knows its section, and whose help does not repeat the range of its values."""

    def __init__(self, *args: Any, section: str = _OPTIONS, **attributes: Any) -> None:
        super().__init__(*args, **attributes)
        self.section = section

    def get_help_extra(self, ctx: click.Context) -> Any:
        """Return what is in brackets after the help; the error for a wrong value says the range."""
        extra = super().get_help_extra(ctx)
        extra.pop("range", None)
        return extra


class TextArgument(click.Argument):
    """An argument with help."""

    def __init__(self, *args: Any, help: str, **attributes: Any) -> None:  # noqa: A002 - named as click's own
        super().__init__(*args, **attributes)
        self.text = help

    def get_help_record(self, ctx: click.Context) -> tuple[str, str]:
        """Return the name and the help."""
        del ctx
        return self.metavar or self.human_readable_name, self.text


def option_of(section: str) -> Callable[..., Callable[[Decorated], Decorated]]:
    """Return `click.option` for options of a section."""

    def option(*names: str, **attributes: Any) -> Callable[[Decorated], Decorated]:
        return click.option(*names, cls=TextOption, section=section, **attributes)

    return option


def option(*names: str, **attributes: Any) -> Callable[[Decorated], Decorated]:
    """Add an option, as `click.option`."""
    return click.option(*names, cls=TextOption, **attributes)


def with_options(command: Decorated, options: Sequence[Callable[[Decorated], Decorated]]) -> Decorated:
    """Add several options or arguments; help and usage show them in this order."""
    for each in reversed(options):
        command = each(command)
    return command


def argument(*names: str, **attributes: Any) -> Callable[[Decorated], Decorated]:
    """Add an argument with help, as `click.argument`."""
    return click.argument(*names, cls=TextArgument, **attributes)


class TextCommand(click.Command):
    """A command whose help shows its options in sections, in the order in which they were declared.

    A task id that begins with a dash is an argument, not an option.
    """

    context_class = HelpContext

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the command line."""
        for each in args:
            if not _is_text(each):
                raise click.UsageError(f"The argument {each[:40]!a} is not text: it must be UTF-8.", ctx)
        return super().parse_args(ctx, self._ids_last(ctx, args))

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write a list for each section: arguments first, options without a section last."""
        sections: dict[str, list[tuple[str, str]]] = {_ARGUMENTS: []}
        for each in self.get_params(ctx):
            record = each.get_help_record(ctx)
            if record is not None:
                sections.setdefault(_section_of(each), []).append(record)
        for name in sorted(filter(sections.get, sections), key=lambda name: name == _OPTIONS):
            with formatter.section(name):
                formatter.write_dl(sections[name])

    def _ids_last(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Move task ids that begin with a dash behind `--`, where click takes them for arguments."""
        options = [each for each in self.get_params(ctx) if isinstance(each, click.Option)]
        names = {name for each in options for name in (*each.opts, *each.secondary_opts)}
        taking = {name for each in options if not (each.is_flag or each.count) for name in each.opts}
        if "--" in args:
            return args
        before = ["", *args]
        ids = [
            index
            for index, arg in enumerate(args)
            if _TASK_ID.fullmatch(arg) and arg not in names and before[index] not in taking
        ]
        if not ids:
            return args
        return [*(arg for index, arg in enumerate(args) if index not in ids), "--", *(args[index] for index in ids)]


def _is_text(argument: str) -> bool:
    try:
        argument.encode()
    except UnicodeEncodeError:  # bytes that are not UTF-8 arrive as surrogates
        return False
    return "\0" not in argument


def _section_of(each: click.Parameter) -> str:
    if isinstance(each, click.Argument):
        return _ARGUMENTS
    return each.section if isinstance(each, TextOption) else _OPTIONS


class TextGroup(click.Group):
    """A command with subcommands."""

    context_class = HelpContext
    command_class = TextCommand

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse what is before the subcommand; the error for an option of a subcommand says where it belongs."""
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            raise click.UsageError(
                f"No such option {error.option_name!r} here. Options follow the command: {ctx.command_path} COMMAND "
                f"{error.option_name} ...",
                ctx,
            ) from None


TextGroup.group_class = TextGroup
