"""Downloads: once, whole, and not twice at the same time."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from kallback.testing.software.cache import cached

if TYPE_CHECKING:
    from pathlib import Path

_RACER = """
import sys, time
from pathlib import Path
from kallback.testing.software.cache import cached

root = Path(sys.argv[1])

def fill(target):
    with (root / "fills").open("a") as fills:
        fills.write("x")
    (target / "first").touch()
    time.sleep(0.3)
    (target / "second").touch()

entry = cached(root, "thing", fill)
print(sorted(path.name for path in entry.iterdir()))
"""


def test_an_entry_is_filled_once(tmp_path: Path) -> None:
    """The second caller gets what the first one fetched."""
    fills: list[Path] = []

    first = cached(tmp_path, "thing", fills.append)
    second = cached(tmp_path, "thing", fills.append)

    assert first == second == tmp_path / "thing"
    assert len(fills) == 1


def test_two_processes_make_one_download(tmp_path: Path) -> None:
    """Processes that want the same entry at once share one fill, and all see it whole."""
    racers = [
        subprocess.Popen([sys.executable, "-c", _RACER, str(tmp_path)], stdout=subprocess.PIPE, text=True)
        for _ in range(3)
    ]

    outputs = [racer.communicate(timeout=30)[0].strip() for racer in racers]

    assert outputs == ["['first', 'second']"] * 3
    assert (tmp_path / "fills").read_text() == "x"


def test_a_failed_fill_leaves_no_entry(tmp_path: Path) -> None:
    """An error half-way leaves nothing that looks like an entry, and the next caller fetches."""

    def fail(target: Path) -> None:
        (target / "half").touch()
        raise RuntimeError

    with pytest.raises(RuntimeError):
        cached(tmp_path, "thing", fail)

    assert list(cached(tmp_path, "thing", lambda _: None).iterdir()) == []


def test_an_interrupted_download_is_cleared_away(tmp_path: Path) -> None:
    """What a killed process left half-full is removed by the next fill."""
    leftover = tmp_path / "thing.partial-abc"
    leftover.mkdir()

    cached(tmp_path, "thing", lambda _: None)

    assert not leftover.exists()
