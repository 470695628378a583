"""What the demo prints: what happens, and below it the board with the state of each order.

On a terminal the board stays at the bottom and redraws itself; in a pipe or a CI log each change is one line.
"""

from __future__ import annotations

import textwrap
import time
from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from rich import box
from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

WIDEST = 100
LABELS = {
    "PLACED": ("placed", "white"),
    "PREPARING": ("in the kitchen", "yellow"),
    "DELIVERING": ("with a driver", "cyan"),
    "DELIVERED": ("delivered", "green"),
    "REJECTED": ("rejected, refunded", "red"),
    "CANCELLED": ("cancelled, refunded", "magenta"),
}


@dataclass(frozen=True, slots=True)
class OrderView:
    """The state of one order: its stage (a key of LABELS) and a detail."""

    stage: str = "PLACED"
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that the audit looked at.

    Attributes:
        sentence: what was found.
        wrong: what is not as it should be; empty when all is well.
    """

    sentence: str
    wrong: tuple[str, ...] = ()


class Board:
    """What happens and the board; use it as a context."""

    def __init__(self) -> None:
        self._console = Console(highlight=False, soft_wrap=True)
        self._live = Live(console=self._console, auto_refresh=False, transient=True)
        self._orders: dict[str, OrderView] = {}
        self._began = time.monotonic()

    def __enter__(self) -> Self:
        """Use the bottom of the terminal, if there is one."""
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave the terminal as it was."""
        self._live.stop()

    @property
    def seconds(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self._began

    def restart_clock(self) -> None:
        """Count from now on: the servers run."""
        self._began = time.monotonic()

    def scene(self, title: str, *sentences: str) -> None:
        """Announce a scene."""
        self._console.print()
        self._console.print(Text(f"▌ {title}", style="bold"))
        for line in textwrap.wrap(" ".join(sentences), width=min(self._console.width, WIDEST) - 4):
            self._console.print(Text(f"  {line}"))

    def say(self, sentence: str, style: str = "") -> None:
        """Print what happened, with the time."""
        self._console.print(Text(f"  {self.seconds:5.1f} s  ", style="dim").append(sentence, style=style or "default"))

    def show(self, orders: dict[str, OrderView]) -> None:
        """Show where the orders are now."""
        if not self._console.is_terminal:  # drivers report too often for lines, so only stages are printed
            for order_id, view in orders.items():
                if view.stage not in ("PLACED", self._orders.get(order_id, OrderView()).stage):
                    self.say(f"order {order_id}  {LABELS[view.stage][0]:<20} {view.detail}".rstrip())
        elif orders != self._orders:
            self._live.update(self._table(orders), refresh=True)
        self._orders = dict(orders)

    def lines(self, title: str, *lines: str) -> None:
        """Show lines as they are, however long."""
        self._console.print()
        self._console.print(Text(f"▌ {title}", style="bold"))
        for line in lines:
            self._console.print(Text(f"  {line}"))

    def command(self, command: str, output: Sequence[str]) -> None:
        """Show a command and what it printed."""
        self._console.print(Text(f"    $ {command}", style="bold"))
        for line in output:
            self._console.print(Text(f"    {line}", style="cyan"))

    def report(self, checks: Sequence[Check]) -> None:
        """Print what the audit checked, and what is wrong."""
        self._live.stop()
        self.lines(f"Summary, {self.seconds:.0f} s after the stack was up")
        for check in checks:
            mark, style = ("✗", "bold red") if check.wrong else ("✓", "green")
            self._console.print(Text(f"  {mark} ", style=style).append(check.sentence, style="default"))
            for wrong in check.wrong:
                self._console.print(Text(f"      {wrong}", style="red"))
        off = sum(bool(check.wrong) for check in checks)
        verdict = f"{off} of {len(checks)} checks failed: exit code 1" if off else "everything ended as it should"
        self._console.print(Text(f"  {verdict}", style="bold red" if off else "bold green"))

    def _table(self, orders: dict[str, OrderView]) -> Table:
        table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 2), min_width=60)
        table.add_column(f"after {self.seconds:.0f} s", no_wrap=True, min_width=20)
        table.add_column("orders")
        for stage, (label, color) in LABELS.items():
            ids = " ".join(sorted(order_id for order_id, view in orders.items() if view.stage == stage))
            table.add_row(Text(label, style=color), Text(ids, style=f"bold {color}"))
        return table
