"""What the guides quote is what the code says: sentences of the doctor, log lines, the project's Dockerfile."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from kallback.cli.new.project import project_files

ROOT = Path(__file__).parents[3]
DOCS = ROOT / "docs"
SOURCE = "\n".join(path.read_text("utf-8") for path in sorted((ROOT / "src").rglob("*.py")))
HANGS = (DOCS / "task-hangs.md").read_text("utf-8")
DOCTOR_SAYS = re.findall(r"^\|([^|]+)\|", HANGS.partition("## It runs")[0], re.MULTILINE)
IMAGE = (DOCS / "own-image.md").read_text("utf-8")


@pytest.mark.parametrize("said", sorted({said for cell in DOCTOR_SAYS for said in re.findall(r"`([^`]+)`", cell)}))
def test_the_doctor_says_what_the_guide_quotes(said: str) -> None:
    """A reader searches the page for the words on the screen."""
    assert said in SOURCE


@pytest.mark.parametrize("said", ["signing keys were read again", "a secret was read again"])
def test_log_lines_by_which_a_rotation_is_seen_are_logged(said: str) -> None:
    """A step is done when each process has said so."""
    assert said in SOURCE
    assert said in (DOCS / "rotate-keys.md").read_text("utf-8")


def test_the_image_of_the_guide_is_that_of_a_new_project() -> None:
    """With a program of the system more."""
    [block] = re.findall(r'```dockerfile title="Dockerfile"\n(.*?)```', IMAGE, re.DOTALL)
    written = [line for line in project_files("print-shop")["Dockerfile"].splitlines() if not line.startswith("#")]
    shown = block.splitlines()
    assert [line for line in shown if line not in written] == [line for line in shown if "ffmpeg" in line]
    assert [line for line in written if line not in shown] == []


def test_packages_go_where_the_locked_image_looks() -> None:
    """Its environment has no pip, so a plain `pip install` would be that of the base image."""
    dockerfile = (ROOT / "Dockerfile").read_text("utf-8")
    assert "uninstall --quiet --yes hatchling editables pip" in dockerfile
    assert "ENV PATH=/opt/kallback/bin:$PATH" in dockerfile
    assert "/usr/local/bin/pip --python /opt/kallback/bin/python install" in IMAGE
