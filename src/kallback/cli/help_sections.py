"""Help in sections: a command with twenty options is read by topic, not from A to Z."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeVar

import click

Command = TypeVar("Command", bound=Callable[..., Any])

_REST: Final = "Options"


class _Option(click.Option):
    """An option that knows its section."""

    def __init__(self, *args: Any, section: str, **attributes: Any) -> None:
        super().__init__(*args, **attributes)
        self.section = section


class SectionedCommand(click.Command):
    """Shows its options in sections, in the order in which they were declared."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write a list for each section, those of none last."""
        sections: dict[str, list[tuple[str, str]]] = {}
        for each in self.get_params(ctx):
            record = each.get_help_record(ctx)
            if record is not None:
                sections.setdefault(each.section if isinstance(each, _Option) else _REST, []).append(record)
        for name in sorted(sections, key=lambda name: name == _REST):
            with formatter.section(name):
                formatter.write_dl(sections[name])


def option_of(section: str) -> Callable[..., Callable[[Command], Command]]:
    """Return `click.option` for options of a section."""

    def option(*names: str, **attributes: Any) -> Callable[[Command], Command]:
        return click.option(*names, cls=_Option, section=section, **attributes)

    return option
