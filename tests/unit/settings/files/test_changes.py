"""A change of files is noticed once, and so is one of the values beside them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kallback.settings.files.changes import FileChanges

if TYPE_CHECKING:
    from pathlib import Path


def test_files_have_changed_once_for_each_exchange(tmp_path: Path) -> None:
    """And not while one of them is gone."""
    ca, other = tmp_path / "ca.pem", tmp_path / "other.pem"
    ca.write_text("1")
    other.write_text("1")
    changed = FileChanges([ca, other])
    ca.write_text("the second")
    assert [changed(), changed()] == [True, False]
    ca.unlink()
    assert not changed()
    ca.write_text("the third one")
    assert [changed(), changed()] == [True, False]


def test_values_beside_the_files_count(tmp_path: Path) -> None:
    """The password of a key changes with the key, or alone."""
    ca, passwords = tmp_path / "ca.pem", ["the first"]
    ca.write_text("1")
    changed = FileChanges([ca], lambda: passwords[0])
    assert not changed()
    passwords[0] = "the second"
    assert [changed(), changed()] == [True, False]
