"""`kallback worker`: options that belong together."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from unittest.mock import AsyncMock, Mock

import pytest
from click.testing import CliRunner

from kallback.cli.commands import worker as command
from kallback.workers import Worker


def test_how_spans_begin_is_refused_where_there_are_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`--otel-link` alone would be without effect."""
    (tmp_path / "tearoom.py").write_text("from kallback.workers import Worker\nworker = Worker('tearoom')\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    result = CliRunner().invoke(command.worker, ["tearoom:worker", "--otel-link"])
    assert result.exit_code == 2
    assert "give --otel, too" in result.output


@pytest.mark.parametrize(("options", "parent"), [(["--otel"], "child"), (["--otel", "--otel-link"], "link")])
def test_the_operator_chooses_how_spans_begin(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: list[str], parent: str
) -> None:
    """As a part of the caller's trace, or as a trace of their own with a link."""
    (tmp_path / "teashop.py").write_text("from kallback.workers import Worker\nworker = Worker('teashop')\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    chosen = list[Any]()
    monkeypatch.setattr(Worker, "use_tracing", lambda _worker, _provider, begins: chosen.append(begins))
    monkeypatch.setattr("kallback.health.otlp.OtlpSpans", Mock())
    monkeypatch.setattr(command, "serve", Mock())
    assert CliRunner().invoke(command.worker, ["teashop:worker", *options]).exit_code == 0
    assert chosen == [parent]


@pytest.mark.parametrize(("options", "made"), [([], 0), (["--create-topics"], 1)])
def test_a_worker_in_development_creates_its_topics(
    options: list[str], made: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only if it is asked to: in production, topics have an owner."""
    module = f"teacart_{made}"
    declared = "pour = TaskType('tea.pour', str, str)\nworker = Worker('teacart')\nworker.task(pour)(lambda tea: tea)\n"
    imports = "from kallback.protocol import TaskType\nfrom kallback.workers import Worker\n"
    (tmp_path / f"{module}.py").write_text(imports + declared)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(command, "serve", Mock())
    created = AsyncMock()
    monkeypatch.setattr("kallback.kafka.create_topics", created)
    assert CliRunner().invoke(command.worker, [f"{module}:worker", *options]).exit_code == 0
    assert created.await_count == made
    assert all("tea.pour" in {spec.name for spec in call.args[1]} for call in created.await_args_list)
