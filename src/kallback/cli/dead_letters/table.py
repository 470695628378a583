"""Dead letters as aligned lines."""

import sys
from typing import Final

import click

from kallback.cli.dead_letters.rows import Row

_HEADINGS: Final = ("ID", "DIED", "REASON", "FROM", "TYPE", "SIZE")


def print_rows(rows: list[Row]) -> None:
    """Print one line each, with headings on a terminal."""
    lines = [row.line() for row in rows]
    if rows and sys.stdout.isatty():
        lines.insert(0, _HEADINGS)
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())
