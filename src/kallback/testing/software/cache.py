"""Downloads that are made once per machine: Java, Kafka's jars, Node.js, Restate's binary.

An entry is a directory that appears all at once: it is filled beside its place under a file lock and renamed when it is
whole. Two processes that want it at the same time make one download; an interrupted one leaves a `.partial` directory,
which the next holder of the lock removes.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from kallback.testing.software.progress import DownloadProgress


def cached(root: Path, name: str, fill: Callable[[Path], None], progress: DownloadProgress | None = None) -> Path:
    """Return the directory `root/name`; if it is not there, `fill` an empty one first."""
    entry = root / name
    if entry.is_dir():
        return entry
    root.mkdir(parents=True, exist_ok=True)
    with _locked(root / f"{name}.lock", progress):
        if entry.is_dir():
            return entry
        for leftover in root.glob(f"{name}.partial-*"):
            shutil.rmtree(leftover, ignore_errors=True)
        partial = Path(tempfile.mkdtemp(prefix=f"{name}.partial-", dir=root))
        try:
            fill(partial)
            os.replace(partial, entry)  # noqa: PTH105 - its atomicity is the point
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    return entry


@contextmanager
def _locked(path: Path, progress: DownloadProgress | None) -> Generator[None]:
    with path.open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if progress is not None:
                progress.say(f"Waiting for another process, which downloads {path.stem} ...")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield
