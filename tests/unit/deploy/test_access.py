"""`deploy/access.py`: who may do what on Kafka. What it does there is tested in tests/containers."""

from __future__ import annotations

import re
from pathlib import Path

from deploy import access

ROOT = Path(__file__).parents[3]


TABLE = re.compile(r"^\| `(\w+)` \| (\w+) \| (\w+) \| `([^`]+?)(\*?)` \|", re.MULTILINE)


def test_the_documented_permissions_are_those_that_are_tested() -> None:
    """docs/deploy.md shows what deploy/access.py makes."""
    rows = TABLE.findall((ROOT / "docs" / "deploy.md").read_text())
    assert [access.Permission(user, what, kind, name, bool(star)) for user, what, kind, name, star in rows] == [
        *access.ACCESS
    ]
