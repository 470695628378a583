"""Watches the developer's Python files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from kallback.protocol.errors import MissingExtraError

try:
    from watchfiles import PythonFilter, watch
except ModuleNotFoundError as error:
    raise MissingExtraError('watchfiles is not installed: pip install "kallback[dev]"') from error

if TYPE_CHECKING:
    import threading
    from collections.abc import Iterator
    from pathlib import Path

_LOOK_MS: Final = 200
_QUIET_MS: Final = 100  # an editor that saves several files makes one change


class _SourceFilter(PythonFilter):
    """Python files, without those of virtual environments whatever their names are."""

    ignore_dirs = (*PythonFilter.ignore_dirs, "venv", "site-packages", ".ruff_cache", ".nox")


def changes(folder: Path, end: threading.Event) -> Iterator[list[str]]:
    """Yield the Python files that changed, and an empty list every 0.2 s in which none did; stop when `end` is set."""
    found = watch(
        folder,
        watch_filter=_SourceFilter(),
        step=_QUIET_MS,
        rust_timeout=_LOOK_MS,
        yield_on_timeout=True,
        stop_event=end,
        raise_interrupt=False,
        ignore_permission_denied=True,
    )
    for each in found:
        yield sorted({path for _, path in each})
