"""The process group of a child: whatever the child starts ends with it.

A child leads a process group of its own, and programs that a task function starts are members of it. The worker kills
the group when it is done with the child. When the worker itself is killed, Linux kills the child, and the processes
that the child's main thread has forked, by their parent-death signal. Programs that were started otherwise (by
`subprocess`, or from other threads) then go on: no signal reaches them.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys
import threading
from typing import Final

from kallback.lifecycle import restore_signals_in_forks

_PR_SET_PDEATHSIG: Final = 1


def lead_process_group() -> None:
    """Make this process the leader of a new group, and its forks members that end with it."""
    if hasattr(os, "setpgid"):
        with contextlib.suppress(OSError):  # it leads one already
            os.setpgid(0, 0)
    restore_signals_in_forks(signal.SIGTERM, signal.SIGINT)
    if sys.platform == "linux":
        forks = _MainThreadForks()
        os.register_at_fork(before=forks.before, after_in_child=forks.after_in_child)


def die_with_parent() -> None:
    """Ask Linux to kill this process when the thread that started it ends, which no computation can delay."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):  # another libc: the closed pipe is noticed all the same
            ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def kill_process_group(leader: int) -> None:
    """Kill a child and everything that it has started; fine if nothing of it is left."""
    if hasattr(os, "killpg"):
        with contextlib.suppress(ProcessLookupError, PermissionError):  # macOS says EPERM of zombies
            os.killpg(leader, signal.SIGKILL)


class _MainThreadForks:
    """Ties forks of the main thread to this process; another thread may end before what it has forked."""

    def __init__(self) -> None:
        self._is_main = False

    def before(self) -> None:
        self._is_main = threading.current_thread() is threading.main_thread()

    def after_in_child(self) -> None:
        if self._is_main:
            die_with_parent()
