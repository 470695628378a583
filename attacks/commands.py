"""Commands that an operator types, with what they print, how long they take and how much memory."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from attacks.programs import ROOT, peak_mib

_LOOK_S: Final = 0.05


@dataclass(frozen=True, slots=True)
class Command:
    """A command that has ended.

    Attributes:
        exit_code: negative for a signal; one that takes longer than it may is killed.
        output: standard output and error.
        mib: peak resident memory.
    """

    exit_code: int
    output: str
    seconds: float
    mib: float


async def run_command(*words: str, env: Mapping[str, str], limit_s: float) -> Command:
    """Run `kallback ...`, without a terminal."""
    return await asyncio.to_thread(_run, words, env, limit_s)


def _run(words: tuple[str, ...], env: Mapping[str, str], limit_s: float) -> Command:
    began = time.monotonic()
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(  # noqa: S603 - our own command
            [sys.executable, "-m", "kallback.cli", *words],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=dict(env),
            cwd=ROOT,
        )
        mib = _watched(process, limit_s)
        output.seek(0)
        text = output.read().decode(errors="replace")
    return Command(process.returncode, text, time.monotonic() - began, mib)


def _watched(process: subprocess.Popen[bytes], limit_s: float) -> float:
    """Wait for the end of a process, kill it after the limit; return its peak memory.

    The kernel's account of a child that has ended also counts what its parent held when the child was started.
    """
    ends, mib = time.monotonic() + limit_s, 0.0
    while process.poll() is None:
        mib = max(mib, peak_mib(process.pid))
        if time.monotonic() > ends:
            process.kill()
        time.sleep(_LOOK_S)
    return mib
