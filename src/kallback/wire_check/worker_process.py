"""The worker's own process, if the check may start it: killed, stopped and started again.

It has a process group of its own, so that what a wrapper such as npm has started ends with it. The owner calls `kill`
at the end; it returns when the process has ended.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shlex
import signal
from pathlib import Path
from typing import Final

from kallback.protocol import ConfigurationError

_TAIL_BYTES: Final = 2_000
_TAIL_LINES: Final = 5


class CheckedProcess:
    """A command that runs a worker, started again and again.

    Args:
        command: as in a shell, without its other features.
        log: the file that gets what it writes.

    Raises:
        ConfigurationError: it is no command.
    """

    def __init__(self, command: str, log: Path) -> None:
        self._command: Final = _words(command)
        self._log: Final = log
        self._process: asyncio.subprocess.Process | None = None
        self._asked = False

    @property
    def ended(self) -> str:
        """How it ended without being asked, in words; empty if it did not."""
        process = self._process
        if process is None or process.returncode is None or self._asked:
            return ""
        return f"its process ended with exit code {process.returncode}: {self._tail()}"

    async def start(self) -> None:
        """Start it.

        Raises:
            ConfigurationError: there is no such program.
        """
        self._asked = False
        with self._log.open("ab") as output:
            try:
                self._process = await asyncio.create_subprocess_exec(
                    *self._command,
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=output,
                    stderr=asyncio.subprocess.STDOUT,
                    start_new_session=True,
                )
            except OSError as error:
                raise ConfigurationError(f"the worker's command cannot be started: {error}") from None

    async def kill(self) -> None:
        """Kill it and all that it started (SIGKILL), and wait for its end."""
        await self._end(signal.SIGKILL, None)

    async def stop(self, timeout: float) -> bool:  # noqa: ASYNC109 - the worker's, not the call's
        """Ask it to end (SIGTERM); kill it after the timeout. Return whether it ended by itself."""
        return await self._end(signal.SIGTERM, timeout)

    async def _end(self, number: signal.Signals, timeout: float | None) -> bool:  # noqa: ASYNC109 - as above
        process, self._asked = self._process, True
        if process is None:
            return True
        self._signal(process, number)
        in_time = True
        try:
            async with asyncio.timeout(timeout):
                await process.wait()
        except TimeoutError:
            in_time = False
        self._signal(process, signal.SIGKILL)  # also what it has left behind
        await process.wait()
        return in_time

    def _signal(self, process: asyncio.subprocess.Process, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):  # nothing of the group is left
            os.killpg(process.pid, number)

    def _tail(self) -> str:
        text = self._log.read_bytes()[-_TAIL_BYTES:].decode(errors="replace")
        lines = [line.strip() for line in text.splitlines() if line.strip()]
        return " / ".join(lines[-_TAIL_LINES:]) or "it wrote nothing"


def _words(command: str) -> list[str]:
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise ConfigurationError(f"the worker's command cannot be read: {error}") from None
    if not words:
        raise ConfigurationError("the worker's command is empty")
    return words
