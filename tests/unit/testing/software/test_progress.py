"""What is shown while downloads run."""

from __future__ import annotations

import io
import threading
from pathlib import Path

from kallback.testing.software.progress import DownloadProgress, folder_size


class _Screen(io.StringIO):
    """Text that says when something with a size was printed."""

    def __init__(self, *, terminal: bool) -> None:
        super().__init__()
        self.sized = threading.Event()
        self._terminal = terminal

    def isatty(self) -> bool:
        """Whether it is a terminal."""
        return self._terminal

    def write(self, text: str) -> int:
        """Take text."""
        count = super().write(text)
        if "on disk" in text:
            self.sized.set()
        return count


def _downloaded(folder: Path, *, terminal: bool) -> str:
    screen = _Screen(terminal=terminal)
    (folder / "file").write_bytes(b"x" * 3_000_000)
    with DownloadProgress(screen, interval=0.01).downloading("a thing", folder):
        assert screen.sized.wait(10)
    return screen.getvalue()


def test_elsewhere_than_on_a_terminal_lines_are_plain(tmp_path: Path) -> None:
    """A log gets no control characters."""
    text = _downloaded(tmp_path, terminal=False)

    assert text.startswith("Downloading a thing ...\n  3 MB on disk\n")
    assert text.endswith(" s\n")
    assert not set(text) & {"\r", "\x1b"}


def test_on_a_terminal_one_line_is_rewritten(tmp_path: Path) -> None:
    """The line with the size is cleared before the next text."""
    text = _downloaded(tmp_path, terminal=True)

    assert "\r\x1b[K  3 MB on disk\r" in text
    assert "3 MB on disk\n" not in text


def test_a_folder_that_is_not_there_has_no_size(tmp_path: Path) -> None:
    """Package clients remove their temporary folders while they are looked at."""
    assert folder_size(tmp_path / "gone") == 0
