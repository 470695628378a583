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
    from collections.abc import Iterator, Sequence

    from watchfiles import Change

_LOOK_MS: Final = 200
_QUIET_MS: Final = 100  # an editor that saves several files makes one change
_TESTS: Final = "tests"


class SourceFilter(PythonFilter):
    """Python files, without those of virtual environments whatever their names are, and without tests.

    Args:
        folder: that is watched. Folders above it may be called `tests`.
        exclude: patterns of files and folders that are left out, as `Application.exclude` describes them.
    """

    ignore_dirs = (*PythonFilter.ignore_dirs, "venv", "site-packages", ".ruff_cache", ".nox")

    def __init__(self, folder: Path, exclude: Sequence[str] = ()) -> None:
        super().__init__()
        self._folder: Final = folder
        self._exclude: Final = exclude

    def __call__(self, change: Change, path: str) -> bool:
        """Whether the file is one that programs may import."""
        if not super().__call__(change, path):
            return False
        whole = Path(path)
        own = whole.relative_to(self._folder) if whole.is_relative_to(self._folder) else whole
        return not _is_test(own) and not _matches(own, self._exclude)


def _matches(own: Path, patterns: Sequence[str]) -> bool:
    """Whether a file, or a folder that it is in, has one of the patterns."""
    places = [own, *list(own.parents)[:-1]]
    return any(place.match(pattern) for place in places for pattern in patterns)


def _is_test(own: Path) -> bool:
    return _TESTS in own.parent.parts or own.name == "conftest.py" or own.name.startswith("test_")


def changes(folder: Path, end: threading.Event, exclude: Sequence[str] = ()) -> Iterator[list[str]]:
    """Yield the Python files that changed, and an empty list every 0.2 s in which none did; stop when `end` is set."""
    found = watch(
        folder,
        watch_filter=SourceFilter(folder, exclude),
        step=_QUIET_MS,
        rust_timeout=_LOOK_MS,
        yield_on_timeout=True,
        stop_event=end,
        raise_interrupt=False,
        ignore_permission_denied=True,
    )
    for each in found:
        yield sorted({path for _, path in each})
