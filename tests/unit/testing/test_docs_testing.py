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

ORDERS = """
from dataclasses import dataclass
from datetime import timedelta

import msgspec
import restate

from kallback.protocol import Keyring, RetryPolicy, TaskType
from kallback.sdk import Callbacks, TaskFailed
from kallback.settings import KeySettings, Settings
from kallback.workers import TaskContext, Worker


class Order(msgspec.Struct):
    dish: str


@dataclass
class Prepared:
    shelf: str


prepare = TaskType("kitchen.prepare", request=Order, result=Prepared, timeout=timedelta(minutes=30))
often = timedelta(seconds=30)
bake = TaskType("bakery.bake", request=Order, result=Prepared, heartbeat_every=often, retry=RetryPolicy())
callbacks = Callbacks(Settings(keys=KeySettings(insecure=True)))
worker = Worker("kitchen")
service = restate.Service("orders")


@worker.task(prepare)
async def cook(order: Order, task: TaskContext) -> Prepared:
    task.heartbeat({"baked": 1})
    return Prepared("B3")


@service.handler()
async def order(ctx: restate.Context, order: Order) -> str:
    try:
        prepared = await callbacks.call(ctx, prepare, order)
    except TaskFailed as failed:
        return f"sorry: {failed.problem.detail}"
    return f"it is on {prepared.shelf}"


@service.handler()
async def bread(ctx: restate.Context, order: Order) -> str:
    prepared = await callbacks.call(ctx, bake, order)
    return f"it is on {prepared.shelf}"
"""


@pytest.fixture(autouse=True)
def orders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The module that the page takes for granted."""
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
