"""A look at files with settings again and again, so that an idle process, too, says that it has read a new one.

Whoever rotates keys waits for that line, and a gateway may have no request for hours.

Ownership: a process has one daemon thread for all its files. It begins with the first file and ends when nothing uses
any of them.
"""

from __future__ import annotations

import threading
import time
import weakref
from typing import Final, Protocol

from kallback.settings.logs import named_log

_INTERVAL_S: Final = 0.5
_log: Final = named_log("kallback.settings")


class FileFollower(Protocol):
    """Follows a file when it is asked to."""

    def look(self) -> None:
        """Follow the file if it has changed. Raises nothing."""
        ...


_lock: Final = threading.Lock()
_watched: Final = list[weakref.ref[FileFollower]]()


def watch(one: FileFollower) -> None:
    """Have it look every half second, for as long as something else uses it."""
    with _lock:
        _watched.append(weakref.ref(one))
        if len(_watched) == 1:
            threading.Thread(target=_run, name="kallback-files", daemon=True).start()


def _run() -> None:
    while _in_use():
        time.sleep(_INTERVAL_S)
        for each in list(_watched):
            if (one := each()) is not None:
                _look(one)
            del one  # or it would be in use until the next look


def _look(one: FileFollower) -> None:
    try:
        one.look()
    except Exception as error:  # noqa: BLE001 - a defect of one must not end the watch over the others
        _log.error("a file with settings could not be followed", reason=repr(error))


def _in_use() -> bool:
    with _lock:
        _watched[:] = [each for each in _watched if each() is not None]
        return bool(_watched)
