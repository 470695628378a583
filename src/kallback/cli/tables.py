"""Tables and lists of facts: aligned plain lines for scripts, laid out by rich on a terminal.

Rich is imported only when standard output is a terminal. Cells are shown as they are: control characters are escaped,
and rich's markup has no meaning in them.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Final, Self

import click

from kallback.cli.formatting import escape, within

if TYPE_CHECKING:
    from rich.table import Table

_BLOCK: Final = 100
_GAP: Final = "  "
_LONGEST_CELL: Final = 1_024
"""Characters; who may write to a topic chooses its texts. The longest of ours says why a person answers: 1 KiB."""
_WIDEST_COLUMN: Final = 100
"""Characters to which cells are filled up: a longer one does not lengthen the rows that follow."""
_WIDEST_MINIMUM: Final = 20
"""Characters that a column keeps from block to block; wider ones could leave no place for the others."""


class RowPrinter:
    """Prints rows while they arrive: plain lines at once, on a terminal a table in blocks.

    A context manager; its end prints the last block. Columns grow with their cells: what was printed stays as it is. Of
    a cell of great length a part is left out.
    """

    def __init__(self, headings: Sequence[str], *, block: int = _BLOCK) -> None:
        self._headings: Sequence[str] = headings
        self._block = block
        self._on_terminal = sys.stdout.isatty()
        self._widths = [len(heading) if self._on_terminal else 0 for heading in headings]
        self._rows: list[list[str]] = []
        self._is_first = True

    def __enter__(self) -> Self:
        """Print nothing yet."""
        return self

    def __exit__(self, *_: object) -> None:
        """Print the last rows."""
        self.flush()

    def add(self, row: Sequence[str]) -> None:
        """Print a row, with the next block at the latest."""
        self._rows.append([within(escape(cell), _LONGEST_CELL) for cell in row])
        if len(self._rows) >= self._block:
            self.flush()

    def flush(self) -> None:
        """Print the rows that were added since."""
        rows, self._rows = self._rows, []
        if not rows:
            return
        widest = (max(width, *map(len, cells)) for width, *cells in zip(self._widths, *rows, strict=True))
        self._widths = [min(width, _WIDEST_COLUMN) for width in widest]
        if self._on_terminal and self._fits():
            self._print_block(rows)
            return
        lines = [self._headings, *rows] if self._on_terminal and self._is_first else rows
        self._is_first = False
        click.echo("\n".join(_GAP.join(map(str.ljust, line, self._widths)).rstrip() for line in lines))

    def _fits(self) -> bool:
        """Whether a terminal has place for all columns; if not, it wraps lines, and nothing is cut off or folded."""
        widths = self._minimum_widths()
        return sum(widths) + len(_GAP) * (len(widths) - 1) <= shutil.get_terminal_size().columns

    def _minimum_widths(self) -> list[int]:
        return [self._widths[0], *(min(width, _WIDEST_MINIMUM) for width in self._widths[1:])]

    def _print_block(self, rows: Sequence[Sequence[str]]) -> None:
        from rich.table import Table  # noqa: PLC0415 - see above

        table = Table(
            *self._headings,
            box=None,
            pad_edge=False,
            padding=(0, len(_GAP), 0, 0),
            header_style="bold",
            show_header=self._is_first,
        )
        for column, width in zip(table.columns, self._minimum_widths(), strict=True):
            column.min_width = width
        table.columns[0].no_wrap = True
        table.columns[0].style = "cyan"
        self._is_first = False
        _print(table, rows)


def print_table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print one line for each row; headings and wrapped cells on a terminal only."""
    with RowPrinter(headings, block=max(1, len(rows))) as printer:
        for row in rows:
            printer.add(row)


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
