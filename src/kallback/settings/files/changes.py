"""Notices that files change, by what the file system says of them, not by what they hold."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

FileSignature = tuple[int, ...]
FilesState = tuple[tuple[FileSignature, ...], object]


def file_signature(path: str | Path) -> FileSignature:
    """What changes when a file is written or exchanged; empty without one. A forged token may cause one call."""
    try:
        found = os.stat(path)  # noqa: PTH116 - a Path costs five times as much
    except (OSError, ValueError):  # the second: a null character
        return ()
    if stat.S_ISFIFO(found.st_mode):  # it changes while it is read
        return found.st_mode, found.st_dev, found.st_ino
    return found.st_mode, found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


class FileChanges:
    """Whether files, or values that are used with them, have changed. One thread at a time.

    A file that is gone is no change: it is about to be exchanged.

    Args:
        paths: of the files.
        values: returns what else counts; it is compared with what it returned before.
    """

    def __init__(self, paths: Sequence[str | Path], values: Callable[[], object] = lambda: None) -> None:
        self._paths: Final = tuple(paths)
        self._values: Final = values
        self._signatures: tuple[FileSignature, ...] = ()
        self._seen = self.state()

    def state(self) -> FilesState:
        """What there is now: equal to what it was before as long as nothing has changed."""
        found = tuple(file_signature(each) for each in self._paths)
        if all(found):
            self._signatures = found
        return self._signatures, self._values()

    def __call__(self) -> bool:
        """Whether they have changed since this was true last, or since it was made."""
        before, self._seen = self._seen, self.state()
        return self._seen != before
