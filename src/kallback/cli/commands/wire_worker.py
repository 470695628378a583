"""The worker that `kallback wire check` starts: where its output goes, and that it ends with the command."""

from __future__ import annotations

import asyncio
import os
import signal
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import click

from kallback.wire_check import CheckedProcess

_ENDS: Final = (signal.SIGTERM, signal.SIGHUP)
"""What ends a command in CI, and with its terminal. asyncio does the same for Ctrl-C."""


@contextmanager
def checked_worker(command: str | None) -> Generator[CheckedProcess | None]:
    """Return the worker, not started. What it writes goes to a file, which stays if the block raises or exits.

    Args:
        command: None: it runs elsewhere, and there is nothing to return.

    Raises:
        ConfigurationError: it is no command.
    """
    if command is None:
        yield None
        return
    handle, name = tempfile.mkstemp(prefix="kallback-wire-check-", suffix=".log")
    os.close(handle)
    log = Path(name)
    try:
        process = CheckedProcess(command, log)
        click.echo(f"The worker writes to {log}", err=True)
        yield process
    except BaseException:
        if log.stat().st_size:
            click.echo(f"What the worker wrote is in {log}", err=True)
        else:
            log.unlink()
        raise
    log.unlink()


def cancel_on_termination() -> None:
    """Have this task cancelled by the signals that would end the process at once and leave the worker behind."""
    task = asyncio.current_task()
    assert task is not None  # noqa: S101 - a coroutine calls it
    for number in _ENDS:
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
