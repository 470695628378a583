"""`kallback worker`: options that belong together."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from kallback.cli.commands import worker as command


def test_how_spans_begin_is_refused_where_there_are_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`--otel-link` alone would be without effect."""
    (tmp_path / "tearoom.py").write_text("from kallback.workers import Worker\nworker = Worker('tearoom')\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    result = CliRunner().invoke(command.worker, ["tearoom:worker", "--otel-link"])
    assert result.exit_code == 2
    assert "give --otel, too" in result.output
