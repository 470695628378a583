"""How many bytes of a topic lie on the broker."""

from __future__ import annotations

from pathlib import Path

from attacks.measurements import stored_bytes


def segment(directory: Path, size: int, name: str = "00000000000000000000.log") -> Path:
    """Write a file of a partition."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / name).write_bytes(b"x" * size)
    return directory / name


def test_segments_of_partitions_are_counted(tmp_path: Path) -> None:
    """Neither their indexes, nor topics whose names begin alike."""
    segment(tmp_path / "data" / "a-0", 3)
    segment(tmp_path / "data" / "a-11", 4)
    segment(tmp_path / "data" / "a-0", 100, "00000000000000000000.index")
    segment(tmp_path / "data" / "a-1b-0", 200)
    assert stored_bytes(tmp_path, ["a", "none"]) == {"a": 7}


def test_what_kafka_is_deleting_is_not_counted(tmp_path: Path) -> None:
    """A topic that is created anew begins with nothing."""
    segment(tmp_path / "data" / ("a-0." + "0123456789abcdef" * 2 + "-delete"), 50)
    segment(tmp_path / "data" / "a-0", 1)
    assert stored_bytes(tmp_path, ["a"]) == {"a": 1}


def test_a_file_that_vanishes_meanwhile_has_no_bytes(tmp_path: Path) -> None:
    """As a link to nothing has none."""
    segment(tmp_path / "a-0", 2)
    (tmp_path / "a-0" / "00000000000000000009.log").symlink_to(tmp_path / "gone")
    assert stored_bytes(tmp_path, ["a"]) == {"a": 2}
