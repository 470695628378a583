"""The log lines of several programs in one terminal: each line with the name of its program in front, in its colour."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from typing import TextIO

_COLOURS: Final = (36, 33, 35, 32, 34)  # cyan, yellow, magenta, green, blue


class ProgramOutput:
    """Writes lines, one at a time; from any thread.

    Args:
        out: where to.
        names: of the programs, which decide their colours and the width of the column.
    """

    def __init__(self, out: TextIO, names: list[str]) -> None:
        self.is_terminal: Final = out.isatty()
        self._out = out
        self._lock = threading.Lock()
        self._width = max(map(len, names), default=0)
        coloured = self.is_terminal and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
        self._colours = {name: _COLOURS[at % len(_COLOURS)] for at, name in enumerate(names)} if coloured else {}

    def write(self, name: str, line: str) -> None:
        """Write a line of a program."""
        self.say(f"{self._front(name)} {line}")

    def say(self, text: str) -> None:
        """Write text as it is."""
        with self._lock:
            self._out.write(f"{text}\n")
            self._out.flush()

    def _front(self, name: str) -> str:
        front = f"{name:<{self._width}} |"
        return f"\x1b[{self._colours[name]}m{front}\x1b[0m" if name in self._colours else front
