"""The test on real servers that the page on testing prints."""

from __future__ import annotations

import importlib
import inspect
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.unit.testing.test_docs_testing import ORDERS

pytestmark = pytest.mark.integration
PAGE = (Path(__file__).parents[3] / "docs" / "testing.md").read_text("utf-8")
[FILE] = re.findall(r'```python title="test_on_real_servers\.py"\n(.*?)```', PAGE, re.DOTALL)


@pytest.fixture
def printed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The page's test, and the module that it takes for granted."""
    (tmp_path / "orders.py").write_text(ORDERS, "utf-8")
    (tmp_path / "printed_test.py").write_text(FILE, "utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    importlib.invalidate_caches()
    module = importlib.import_module("printed_test")
    [test] = [value for name, value in vars(module).items() if name.startswith("test_")]
    yield test
    for name in ("orders", "printed_test"):
        sys.modules.pop(name, None)


@pytest.fixture
def arguments(printed: Any, request: pytest.FixtureRequest) -> dict[str, Any]:
    """The fixtures that it asks for."""
    return {name: request.getfixturevalue(name) for name in inspect.signature(printed).parameters}


async def test_the_test_of_the_page_passes(printed: Any, arguments: dict[str, Any]) -> None:
    """As it stands, with the fixtures of the plugin."""
    await printed(**arguments)
