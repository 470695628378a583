"""What a developer types while `kallback dev` runs: `r` and Enter starts programs anew."""

from __future__ import annotations

import os
import select
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
    """Lines of a terminal, which are asked for, so that nothing waits for them.

    Args:
        source: anything but a terminal has no lines.
    """

    def __init__(self, source: TextIO | None) -> None:
        self._descriptor = _terminal(source)
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
        if not data:
            self._descriptor = None
        *lines, self._rest = (self._rest + data)[-_READ_BYTES:].split(b"\n")
        return [text for line in lines if (text := line.decode(errors="replace").strip())]


def _terminal(source: TextIO | None) -> int | None:
    try:
        return source.fileno() if source is not None and source.isatty() else None
    except ValueError:  # closed
        return None


def _is_in_foreground(descriptor: int) -> bool:
    """Whether this process may read: one in the background would be stopped by the terminal."""
    try:
        return os.tcgetpgrp(descriptor) == os.getpgrp()
    except OSError:  # not the terminal that controls this process
        return True
