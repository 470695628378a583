"""Forks of this process handle signals as any program does, and not with the handlers that they inherit.

A fork, as `multiprocessing` makes on Linux, shares the socket through which an event loop hears of signals: SIGTERM for
the fork, also in the moment after its start, would drain the service and leave the fork alive. So the signals are
blocked while a process forks, and the fork unblocks them when it has the default handlers.
"""

from __future__ import annotations

import functools
import os
import signal
import threading


@functools.cache
def restore_signals_in_forks(*numbers: signal.Signals) -> None:
    """See to it that forks of this process have the default handlers of these signals; call it on any thread."""
    if not hasattr(os, "register_at_fork"):
        return  # a system without forks
    blocking = _Blocking(numbers)
    os.register_at_fork(
        before=blocking.block, after_in_parent=blocking.unblock, after_in_child=blocking.restore_and_unblock
    )


class _Blocking:
    def __init__(self, numbers: tuple[signal.Signals, ...]) -> None:
        self._numbers = numbers
        self._forking = threading.local()  # masks are those of a thread, and several may fork

    def block(self) -> None:
        self._forking.mask = signal.pthread_sigmask(signal.SIG_BLOCK, self._numbers)

    def unblock(self) -> None:
        signal.pthread_sigmask(signal.SIG_SETMASK, self._forking.mask)

    def restore_and_unblock(self) -> None:
        signal.set_wakeup_fd(-1)
        for number in self._numbers:
            signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
        self.unblock()
