"""`deploy/access.py`: who may do what on Kafka. What it does there is tested in tests/containers."""

from __future__ import annotations

import importlib.util
import re
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[3]


def load_access() -> Any:
    """`deploy/access.py`, which is no part of the package."""
    spec = importlib.util.spec_from_file_location("access", ROOT / "deploy" / "access.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["access"] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


access = load_access()
TABLE = re.compile(r"^\| `(\w+)` \| (\w+) \| (\w+) \| `([^`]+?)(\*?)` \|", re.MULTILINE)


def test_the_documented_permissions_are_those_that_are_tested() -> None:
    """docs/deploy.md shows what deploy/access.py makes."""
    rows = TABLE.findall((ROOT / "docs" / "deploy.md").read_text())
    assert [access.Permission(user, what, kind, name, bool(star)) for user, what, kind, name, star in rows] == [
        *access.ACCESS
    ]
