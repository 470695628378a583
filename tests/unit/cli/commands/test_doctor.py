"""`kallback doctor`: what it is asked to look at."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import kallback.cli.commands.doctor as command
from kallback.cli.imports import is_module_here
from kallback.operations.doctor import Severity
from kallback.protocol import ConfigurationError


@pytest.mark.parametrize(
    ("named", "looked_at"),
    [
        ("doctored_orders:render", "render-jobs"),
        ("orders.render", "orders.render"),
        ("", ""),
        ("AAECAwQFBgcICQoL",) * 2,
    ],
)
def test_a_type_may_be_named_in_python(
    named: str, looked_at: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its module says which topic it has; nothing else does before a task is pending."""
    targets: list[str] = []

    async def examine(_settings: object, target: str, **_: Any) -> set[Severity]:
        targets.append(target)
        return {Severity.OK}

    monkeypatch.setattr(command, "_examine", examine)
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "doctored_orders.py").write_text(
        "from kallback.protocol import TaskType\nrender = TaskType('orders.render', str, str, topic='render-jobs')\n"
    )
    assert CliRunner().invoke(command.doctor, [named] if named else []).exit_code == 0
    assert targets == [looked_at]


def test_what_is_no_type_in_python_is_refused() -> None:
    """With what it should be."""
    result = CliRunner().invoke(command.doctor, ["json:loads"])
    assert isinstance(result.exception, ConfigurationError)
    assert "TaskType" in str(result.exception)


@pytest.mark.parametrize(
    ("name", "is_module"),
    [("shared", True), ("shop", True), ("shop.orders", True), ("orders", False), ("json", False), ("a..b", False)],
)
def test_a_module_is_known_without_being_imported(
    name: str,
    is_module: bool,  # noqa: FBT001 - a table
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The name of a module alone was taken for a task type that does not exist; its code may do anything."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "shop").mkdir()
    for path in ("shared.py", "shop/orders.py"):
        (tmp_path / path).write_text("raise SystemExit")
    assert is_module_here(name) is is_module


def test_a_process_that_is_named_says_whether_it_takes_tasks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Kafka describes a worker that drains as any other; its health port tells. Port 1 of this machine has none."""

    async def examine(*_: object, **__: Any) -> set[Severity]:
        return {Severity.OK}

    monkeypatch.setattr(command, "_examine", examine)
    result = CliRunner().invoke(command.doctor, ["--process", "kitchen=http://127.0.0.1:1"])
    assert result.exit_code == 0
    assert "warning  processes     kitchen is not ready: it does not answer" in result.stdout
