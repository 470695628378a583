"""`kallback worker`: options that belong together."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from unittest.mock import Mock

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
