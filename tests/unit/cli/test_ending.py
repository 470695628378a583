"""Signals that come when a command is over and its process is not."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

AT_ITS_END = """
import atexit, os, sys
from kallback.cli import app

atexit.register(os.kill, os.getpid(), {number})  # after what the command registers
sys.argv = ["kallback", {word!r}]
app.main()
"""
"""A process whose interpreter is about to end when the signal comes."""
BEFORE_IT = """
import os
from kallback.cli.app import keep_exit_code

keep_exit_code({code})
os.kill(os.getpid(), {number})
"""


def exit_code(program: str) -> int:
    """How a program ends."""
    return subprocess.run([sys.executable, "-c", program], capture_output=True, check=False, timeout=60).returncode


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize(("word", "code"), [("--help", 0), ("no-such-command", 2)])
def test_a_signal_while_the_interpreter_ends_changes_no_exit_code(number: int, word: str, code: int) -> None:
    """A supervisor that asks twice sees a clean end as what it is."""
    assert exit_code(AT_ITS_END.format(number=int(number), word=word)) == code


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize(("code", "seen"), [("None", 0), ("0", 0), ("3", 3), ("'a sentence'", 1)])
def test_a_signal_after_the_command_ends_the_process_with_its_code(number: int, code: str, seen: int) -> None:
    """At once: what still runs is threads that hold nothing."""
    assert exit_code(BEFORE_IT.format(number=int(number), code=code)) == seen
