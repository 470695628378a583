"""One program of `kallback dev` as a child process, whose lines a thread of its own reads.

On a terminal the child gets a terminal, too, so that it writes at once, and writes log lines as people read them. The
thread owns the reading end and ends with the child's last process.
"""

from __future__ import annotations

import os
import sys
import threading
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final

from kallback.testing.servers.processes import ChildProcess

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kallback.testing.dev.output import ProgramOutput
    from kallback.testing.dev.programs import Program

_READ_BYTES: Final = 65536
_KEPT_LINES: Final = 15
_LAST_LINES_TIMEOUT_S: Final = 1.0
_STOP_TIMEOUT_S: Final = 15.0
"""A program drains for at most 10 s by itself; what takes longer is killed."""


class RunningProgram:
    """A program that can be started again.

    Args:
        program: what runs.
        output: gets its lines.
        environ: of the process, without settings of kallback.
    """

    def __init__(self, program: Program, output: ProgramOutput, environ: Mapping[str, str]) -> None:
        self.program: Final = program
        self._output = output
        self._reader: threading.Thread | None = None
        self._last = deque[str](maxlen=_KEPT_LINES)
        self._child = ChildProcess(
            program.name,
            [sys.executable, "-m", "kallback.cli", *program.arguments],
            log=Path(os.devnull),
            output=self._open_output,
            env={**environ, "PYTHONUNBUFFERED": "1", **program.env},
        )

    @property
    def is_running(self) -> bool:
        """Whether the process exists."""
        return self._child.running

    @property
    def exit_code(self) -> int | None:
        """How it ended; None while it runs, and before its start."""
        return self._child.exit_code

    @property
    def pid(self) -> int | None:
        """Id of the process, also of its group; None before its start."""
        return self._child.pid

    def start(self) -> None:
        """Start it; nothing happens if it runs."""
        self._child.start()

    def stop(self) -> None:
        """Have it end as by SIGTERM, and return when it has ended."""
        self._child.stop(_STOP_TIMEOUT_S)
        self._join()

    def show_last_lines(self) -> None:
        """Write the last lines of a program whose lines are not shown; call it when it has ended."""
        self._join()
        if not self.program.is_shown:
            for line in self._last:
                self._output.write(self.program.name, line)

    def _join(self) -> None:
        if self._reader is not None:
            self._reader.join(_LAST_LINES_TIMEOUT_S)

    def _open_output(self) -> BinaryIO:
        ours, its = os.openpty() if self._output.is_terminal else os.pipe()
        self._last.clear()
        self._reader = threading.Thread(target=self._read, args=(ours,), name=self.program.name, daemon=True)
        self._reader.start()
        return os.fdopen(its, "wb")

    def _read(self, ours: int) -> None:
        rest = b""
        while data := _read_some(ours):
            *lines, rest = (rest + data).split(b"\n")
            for line in lines:
                self._take(line)
        if rest:
            self._take(rest)
        os.close(ours)

    def _take(self, line: bytes) -> None:
        text = line.decode(errors="replace").rstrip("\r")
        self._last.append(text)
        if self.program.is_shown:
            self._output.write(self.program.name, text)


def _read_some(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, _READ_BYTES)
    except OSError:  # EIO: the last process with this terminal has ended
        return b""
