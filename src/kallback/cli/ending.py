"""The end of the process after its command: from there on no signal changes the exit code.

asyncio takes its handlers away when its loop closes, and the interpreter takes a while to end. A second SIGTERM or
Ctrl-C in that time would make the end of a bridge that has drained and committed look like a crash.
"""

from __future__ import annotations

import atexit
import os
import signal
from typing import Final

_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)


def keep_exit_code(code: object) -> None:
    """Let a signal end the process at once, with the code that it ends with anyway.

    Args:
        code: of `SystemExit`.
    """
    number = code if isinstance(code, int) else int(code is not None)

    def end_at_once(*_: object) -> None:
        os._exit(number)

    for each in _SIGNALS:
        signal.signal(each, end_at_once)
    atexit.register(_ignore_signals)  # the interpreter takes Python's handlers away after that


def _ignore_signals() -> None:
    for each in _SIGNALS:
        signal.signal(each, signal.SIG_IGN)
