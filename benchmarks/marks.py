"""Marks: how a run knows that an awakeable was completed, in the same way for every mode and without disturbing it.

A few records of a topic (its first and last ones, or one in a hundred) carry the awakeables of handlers that really
wait, in the service of `service.py`. The handler appends a line to a file when it begins to wait (with its awakeable's
id) and one when it was completed (with the time). Nobody polls Kafka, Restate or the bridge while they are measured.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final

VARIABLE: Final = "BENCH_MARKS"
WAITS: Final = "waits"
DONE: Final = "done"
_BETWEEN_LOOKS: Final = 0.01


def leave(kind: str, name: str, what: str) -> None:
    """Append one line; called by the handlers. CLOCK_MONOTONIC is the same for all processes of a machine."""
    with Path(os.environ[VARIABLE]).open("a") as file:
        file.write(f"{kind} {name} {what}\n")


class Marks:
    """The reader's side.

    Args:
        path: the file; made here.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._position = 0
        self._rest = ""
        self._found: dict[str, dict[str, str]] = {WAITS: {}, DONE: {}}
        path.touch()

    def awakeables(self, names: Iterable[str]) -> dict[str, str]:
        """Wait until all of these handlers wait; their awakeable ids by name."""
        wanted = list(names)
        self.until("the marked handlers to wait", lambda: all(name in self._found[WAITS] for name in wanted), 60)
        return {name: self._found[WAITS][name] for name in wanted}

    def completed(self) -> dict[str, float]:
        """When each handler was completed, of those that were; monotonic seconds."""
        self._read()
        return {name: float(at) for name, at in self._found[DONE].items()}

    def span(
        self, names: Iterable[str], timeout_s: float, check: Callable[[], None] = lambda: None
    ) -> tuple[float, float]:
        """Wait until all were completed; when the first was, and when the last was. `check` may raise meanwhile."""
        wanted = list(names)

        def holds() -> bool:
            check()
            return all(each in self._found[DONE] for each in wanted)

        self.until("the marked records to be completed", holds, timeout_s)
        times = [float(self._found[DONE][name]) for name in wanted]
        return min(times), max(times)

    def until(self, what: str, holds: Callable[[], bool], timeout_s: float) -> None:
        """Read on until something holds.

        Raises:
            TimeoutError: it does not within `timeout_s` seconds.
        """
        deadline = time.monotonic() + timeout_s
        while True:
            self._read()
            if holds():
                return
            if time.monotonic() > deadline:
                raise TimeoutError(f"waited {timeout_s:g} s for {what}")
            time.sleep(_BETWEEN_LOOKS)

    def _read(self) -> None:
        with self._path.open() as file:
            file.seek(self._position)
            text = self._rest + file.read()
            self._position = file.tell()
        *lines, self._rest = text.split("\n")
        for line in lines:
            kind, name, what = line.split(" ")
            self._found[kind].setdefault(name, what)
