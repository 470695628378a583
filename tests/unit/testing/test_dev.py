"""What `kallback dev` writes and says, without servers."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from kallback.testing.dev import EXAMPLE_FILES, activation, next_steps, write_example

EXAMPLE = Path(__file__).parents[3] / "examples" / "quickstart"


def test_the_example_is_the_one_of_the_repository(tmp_path: Path) -> None:
    """`--example` writes the three files that the README shows, and says where."""
    said = write_example(tmp_path / "new")

    assert said == f"Wrote shared.py, handler.py, worker.py to {tmp_path / 'new'}."
    assert sorted(path.name for path in EXAMPLE.glob("*.py")) == sorted(EXAMPLE_FILES)
    for name in EXAMPLE_FILES:
        assert (tmp_path / "new" / name).read_text() == (EXAMPLE / name).read_text()


def test_a_file_that_exists_is_left_alone(tmp_path: Path) -> None:
    """A second start in the same folder keeps what was changed there."""
    (tmp_path / "handler.py").write_text("mine")

    said = write_example(tmp_path)

    assert said == f"Wrote shared.py, worker.py to {tmp_path}. Kept handler.py."
    assert (tmp_path / "handler.py").read_text() == "mine"


@pytest.mark.parametrize("example", [None, Path("/tmp")])
def test_the_next_steps_name_the_addresses(example: Path | None) -> None:
    """The commands can be pasted: they have this run's addresses, and create the topic unless it exists."""
    text = next_steps("http://127.0.0.1:9070", "http://127.0.0.1:8080", example)

    assert "curl http://127.0.0.1:9070/deployments" in text
    assert "curl http://127.0.0.1:8080/Orders/place" in text
    assert "kallback bridge --outcomes\n" in text, "the console and `kallback outcomes tail` have nothing to show"
    assert ("kallback topics create restaurant.prepare" in text) is (example is None)


def test_a_virtual_environment_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Other terminals need the command that activates it; without one there is nothing to activate."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "activate").touch()
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    assert activation() == f"source {tmp_path}/bin/activate"

    monkeypatch.setattr(sys, "prefix", sys.base_prefix)
    assert activation() is None
