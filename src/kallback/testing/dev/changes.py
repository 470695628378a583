"""Watches the developer's Python files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from kallback.protocol.errors import MissingExtraError

try:
    from watchfiles import PythonFilter, watch
except ModuleNotFoundError as error:
    raise MissingExtraError('watchfiles is not installed: pip install "kallback[dev]"') from error

if TYPE_CHECKING:
    import threading
    from collections.abc import Iterator

    from watchfiles import Change

_LOOK_MS: Final = 200
_QUIET_MS: Final = 100  # an editor that saves several files makes one change
_TESTS: Final = "tests"


class SourceFilter(PythonFilter):
    """Python files, without those of virtual environments whatever their names are, and without tests.

    Args:
        folder: that is watched. Folders above it may be called `tests`.
    """

    ignore_dirs = (*PythonFilter.ignore_dirs, "venv", "site-packages", ".ruff_cache", ".nox")

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._folder: Final = folder

    def __call__(self, change: Change, path: str) -> bool:
        """Whether the file is one that programs may import."""
        return super().__call__(change, path) and not _is_test(Path(path), self._folder)


def _is_test(path: Path, folder: Path) -> bool:
    own = path.relative_to(folder) if path.is_relative_to(folder) else path
    return _TESTS in own.parent.parts or own.name == "conftest.py" or own.name.startswith("test_")


def changes(folder: Path, end: threading.Event) -> Iterator[list[str]]:
    """Yield the Python files that changed, and an empty list every 0.2 s in which none did; stop when `end` is set."""
    found = watch(
        folder,
        watch_filter=SourceFilter(folder),
        step=_QUIET_MS,
        rust_timeout=_LOOK_MS,
        yield_on_timeout=True,
        stop_event=end,
        raise_interrupt=False,
        ignore_permission_denied=True,
    )
    for each in found:
        yield sorted({path for _, path in each})
