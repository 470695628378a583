"""The page of errors lists every type of failure that kallback itself reports, with its code."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "errors.md").read_text("utf-8")
TYPE = re.compile(r"urn:kallback:[a-z][a-z-]*[a-z]")
CONSTANT = re.compile(r'^[A-Z_]+: Final = "(urn:kallback:[a-z-]+)"', re.MULTILINE)


def types_in_the_code() -> set[str]:
    """Every constant."""
    return {name for path in (ROOT / "src").rglob("*.py") for name in CONSTANT.findall(path.read_text("utf-8"))}


def test_the_page_lists_each_type_and_no_other() -> None:
    """One that is missing cannot be looked up; one too many misleads."""
    assert set(TYPE.findall(PAGE)) == types_in_the_code()


@pytest.mark.parametrize("name", sorted(types_in_the_code()))
def test_each_type_has_one_row(name: str) -> None:
    """With a cause and a remedy, or at least a cause."""
    rows = [line for line in PAGE.splitlines() if line.startswith(f"| `{name}` |") or f"of type `{name}` |" in line]
    assert len(rows) == 1
    assert all(cell.strip() for cell in rows[0].strip("|").split("|"))
