"""What a developer types while `kallback dev` runs: `r` and Enter starts programs anew. Scripts write it to a pipe."""

from __future__ import annotations

import os
import select
import stat
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import TextIO

_READ_BYTES: Final = 4096
_RESTART: Final = "r"


def restart_wanted(line: str, names: Sequence[str]) -> tuple[str, ...] | None:
    """Say which programs a line starts anew: their names, none of them for all that import the developer's modules.

    Args:
        line: that was typed.
        names: of all programs.

    Returns:
        None if the line is no request, or names a program that there is not.
    """
    word, *wanted = line.split()
    return tuple(wanted) if word == _RESTART and set(wanted) <= set(names) else None


def usage(names: Sequence[str]) -> str:
    """Say what can be typed."""
    return f"Type r and Enter to start your programs anew, or r and a name for one: {', '.join(names)}."


def starts_again(*, watched: bool, typed: bool) -> str:
    """Say when a program that has ended starts again."""
    if watched:
        return "it starts again when a file changes" + (", or type r and Enter" if typed else "")
    return "type r and Enter to start it again" if typed else "to have it again, start kallback dev anew"


class TypedLines:
    """Lines of a terminal or a pipe, which are asked for, so that nothing waits for them.

    Args:
        source: anything else has no lines.
    """

    def __init__(self, source: TextIO | None) -> None:
        self._descriptor = _readable(source)
        self._is_pipe = self._descriptor is not None and _is_pipe(self._descriptor)
        self._rest = b""

    @property
    def is_open(self) -> bool:
        """Whether lines can come."""
        return self._descriptor is not None

    def read(self) -> list[str]:
        """Return the lines that were typed since the last call, without empty ones."""
        descriptor = self._descriptor
        if descriptor is None or not _is_in_foreground(descriptor) or not select.select([descriptor], [], [], 0)[0]:
            return []
        try:
            data = os.read(descriptor, _READ_BYTES)
        except OSError:  # EIO: the terminal is gone
            data = b""
        if not data and not self._is_pipe:  # of a named pipe, another writer may come
            self._descriptor = None
        *lines, self._rest = (self._rest + data)[-_READ_BYTES:].split(b"\n")
        return [text for line in lines if (text := line.decode(errors="replace").strip())]


def _readable(source: TextIO | None) -> int | None:
    try:
        if source is None or not (source.isatty() or _is_pipe(source.fileno())):
            return None
        return source.fileno()
    except (ValueError, OSError):  # closed, or no file
        return None


def _is_pipe(descriptor: int) -> bool:
    return stat.S_ISFIFO(os.fstat(descriptor).st_mode)


def _is_in_foreground(descriptor: int) -> bool:
    """Whether this process may read: one in the background would be stopped by the terminal."""
    try:
        return os.tcgetpgrp(descriptor) == os.getpgrp()
    except OSError:  # not the terminal that controls this process
        return True
