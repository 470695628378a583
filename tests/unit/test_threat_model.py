"""SECURITY.md: each line of the threat model points to tests and attacks, and each of them exists."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from attacks.table import ATTACKS

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "SECURITY.md").read_text("utf-8")
TEST = re.compile(r"`(tests/[\w/]+\.py)(?:::(test_\w+))?`")
ATTACK = re.compile(r"`([a-z0-9]+(?:-[a-z0-9]+)+)`")
HEADING = "| who | can | cannot | bounded by | shown by |"


def shown_by() -> dict[str, str]:
    """The last cell of each line of the table, by its first one."""
    lines = PAGE[PAGE.index(HEADING) :].split("\n\n", 1)[0].splitlines()[2:]
    cells = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]
    return {row[0]: row[-1] for row in cells}


def test_the_table_is_read() -> None:
    """A heading that changed would make the other tests vacuous."""
    assert len(shown_by()) > 10


@pytest.mark.parametrize("who", shown_by())
def test_each_line_names_what_shows_it(who: str) -> None:
    """A test, which runs at each change; attacks are named beside it."""
    assert TEST.search(shown_by()[who])


@pytest.mark.parametrize(("file", "name"), sorted(set(TEST.findall(PAGE))))
def test_each_named_test_exists(file: str, name: str) -> None:
    """In the file that is named."""
    assert f"def {name}" in (ROOT / file).read_text("utf-8")


def test_each_named_attack_exists() -> None:
    """`make attack` knows its name."""
    named = {name for cell in shown_by().values() for name in ATTACK.findall(TEST.sub("", cell))}
    assert named - {attack.name for attack in ATTACKS} == set()
