"""What a person sees while downloads run: one line that is rewritten on a terminal, plain lines elsewhere."""

from __future__ import annotations

import os
import sys
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, TextIO

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

_TERMINAL_INTERVAL_S: Final = 0.2
_PLAIN_INTERVAL_S: Final = 5.0  # shows activity without filling a log
_MEGABYTE: Final = 1_000_000


class DownloadProgress:
    """Reports downloads.

    Args:
        out: where to; by default this process's standard error.
        interval: seconds between two reports; by default 0.2 on a terminal and 5 elsewhere.
    """

    def __init__(self, out: TextIO | None = None, *, interval: float | None = None) -> None:
        self._out = out
        self._interval = interval

    def say(self, line: str) -> None:
        """Print a line."""
        print(f"{line}\n", end="", file=self._out or sys.stderr, flush=True)  # at once: others write there, too

    @contextmanager
    def downloading(self, what: str, folder: Path) -> Generator[None]:
        """Report how much arrives in a folder, and at the end how long it took."""
        self.say(f"Downloading {what} ...")
        started, done = time.monotonic(), threading.Event()
        watcher = threading.Thread(target=self._watch, args=(folder, done), name="download-progress", daemon=True)
        watcher.start()
        try:
            yield
        finally:
            done.set()
            watcher.join()
        self.say(f"  done in {time.monotonic() - started:.0f} s")

    def _watch(self, folder: Path, done: threading.Event) -> None:
        out = self._out or sys.stderr
        terminal = out.isatty()
        interval = self._interval or (_TERMINAL_INTERVAL_S if terminal else _PLAIN_INTERVAL_S)
        start, end = ("\r\x1b[K", "") if terminal else ("", "\n")
        while not done.wait(interval):
            print(f"{start}  {folder_size(folder) / _MEGABYTE:.0f} MB on disk", end=end, file=out, flush=True)
        if terminal:
            print("\r\x1b[K", end="", file=out, flush=True)


def folder_size(folder: Path) -> int:
    """Return the size of all files below a folder, in bytes; files that vanish meanwhile count as nothing."""
    total = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            try:
                total += os.lstat(os.path.join(parent, name)).st_size  # noqa: PTH118 - a thousand files, often
            except OSError:
                continue
    return total
