"""Ends a command that shows what happens until somebody stops it: Ctrl-C is its end, and no failure."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager


@contextmanager
def until_interrupted(*, endless: bool) -> Generator[None]:
    """Run the body; Ctrl-C ends it like its last line.

    Args:
        endless: the body has no other end; otherwise Ctrl-C aborts the command.
    """
    try:
        yield
    except KeyboardInterrupt:
        if not endless:
            raise
