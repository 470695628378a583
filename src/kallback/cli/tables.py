"""Tables and lists of facts: aligned plain lines for scripts, laid out by rich on a terminal.

Rich is imported only when standard output is a terminal. Cells are shown as they are: control characters are escaped,
and rich's markup has no meaning in them.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import click

from kallback.cli.formatting import escape

if TYPE_CHECKING:
    from rich.table import Table


def print_table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print one line for each row; headings and wrapped cells on a terminal only."""
    if not rows:
        return
    cells = [[escape(cell) for cell in row] for row in rows]
    if sys.stdout.isatty():
        from rich.table import Table  # noqa: PLC0415 - see above

        table = Table(*headings, box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
        table.columns[0].no_wrap = True
        table.columns[0].style = "cyan"
        _print(table, cells)
        return
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for row in cells:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def print_facts(facts: Iterable[tuple[str, str]]) -> None:
    """Print names with their values; a name may be empty. A value may have several lines."""
    rows = [(name, escape(value, lines=True)) for name, value in facts]
    width = max((len(name) for name, _ in rows), default=0)
    if sys.stdout.isatty():
        from rich.table import Table  # noqa: PLC0415 - see above

        table = Table.grid(padding=(0, 2, 0, 0))
        table.add_column(style="cyan", no_wrap=True, min_width=width)
        table.add_column()
        _print(table, rows)
        return
    for name, value in rows:
        first, *more = value.splitlines() or [""]
        click.echo(f"{name:<{width}}  {first}".rstrip())
        for line in more:
            click.echo(f"{'':<{width}}  {line}".rstrip())


def _print(table: Table, rows: Sequence[Sequence[str]]) -> None:
    from rich.console import Console  # noqa: PLC0415 - see above
    from rich.text import Text  # noqa: PLC0415

    for column in table.columns:
        column.overflow = "fold"
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    Console(markup=False, highlight=False, emoji=False).print(table)
