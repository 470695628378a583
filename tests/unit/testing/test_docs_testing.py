"""The page on testing says what the code does: its snippets are run as they stand."""

from __future__ import annotations

import importlib
import inspect
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

PAGE = (Path(__file__).parents[3] / "docs" / "testing.md").read_text("utf-8")
SNIPPETS = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)

[ORDERS] = re.findall(r'```python title="orders\.py"\n(.*?)```', PAGE, re.DOTALL)


@pytest.fixture(autouse=True)
def orders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The application of the page, with the key of its `conftest.py`."""
    monkeypatch.setenv("KALLBACK_INSECURE", "1")
    (tmp_path / "orders.py").write_text(ORDERS, "utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    importlib.invalidate_caches()
    yield
    sys.modules.pop("orders", None)


@pytest.mark.parametrize("number", range(len(SNIPPETS)))
async def test_a_snippet_runs_as_it_stands(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each is a test of its own, and passes."""
    names: dict[str, Any] = {"__name__": f"snippet_{number}"}
    exec(compile(SNIPPETS[number], f"docs/testing.md, snippet {number}", "exec"), names)
    [test] = [value for name, value in names.items() if name.startswith("test_")]

    await (test(monkeypatch) if inspect.signature(test).parameters else test())


def test_a_handler_is_tested_in_ten_lines() -> None:
    """As its heading says."""
    [snippet] = [each for each in SNIPPETS if "test_the_guest_hears" in each]

    assert len([line for line in snippet.splitlines() if line.strip()]) <= 10
