"""A limit on the memory of a process, as a container has one: a control group of its own. Needs root, on Linux.

Beyond the limit the kernel ends the process (SIGKILL), as it does in a container.
"""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Final

_VERSION_1: Final = Path("/sys/fs/cgroup/memory")
_VERSION_2: Final = Path("/sys/fs/cgroup")
_MIB: Final = 1024 * 1024


class NoMemoryLimitError(Exception):
    """This machine lets nobody limit the memory of a process here."""


class MemoryLimit:
    """A control group with a limit.

    Args:
        name: of the group; unique on this machine.
        mib: the limit.
    """

    def __init__(self, name: str, mib: int) -> None:
        root, file = (_VERSION_1, "memory.limit_in_bytes") if _VERSION_1.is_dir() else (_VERSION_2, "memory.max")
        self._group = root / name
        try:
            self._group.mkdir()
            (self._group / file).write_text(str(mib * _MIB))
        except OSError as error:
            raise NoMemoryLimitError(f"a memory limit needs root and control groups: {error}") from error

    @property
    def processes(self) -> Path:
        """The file to which a process writes its id to join."""
        return self._group / "cgroup.procs"

    def remove(self) -> None:
        """Remove the group; its processes have ended."""
        with contextlib.suppress(OSError):
            self._group.rmdir()
