"""The tables that are made of a run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from benchmarks import report
from benchmarks.figures import Samples
from benchmarks.report import BEGIN, END, as_markdown, as_text, number, replace_figures, replace_sentences

MACHINE = {
    "processor": "Abacus",
    "cores": 2,
    "memory_gib": 24.0,
    "system": "Linux 6",
    "python": "3.11",
    "kafka": "Kafka 4.4.0",
    "restate": "1.7.12",
}


def document(**members: Any) -> dict[str, Any]:
    """A small bench.json."""
    return {
        "machine": MACHINE,
        "options": {"results": 20_000, "memory_results": 100_000},
        "at": "2026-01-01T00:00:00+00:00",
        "took_s": 300,
        "surroundings": [{"load_average": 0.5, "yardstick_us": 1.5}],
        "rounds": {"drain.naive_per_s": [400.0, 500.0, 450.0]},
        "absent": {"drain.ceiling_per_s": "wrk is not installed"},
    } | members


def test_only_the_figures_of_the_document_are_replaced() -> None:
    """Its own words stay."""
    text = f"before\n{BEGIN}\nold\n{END}\nafter\n"
    assert replace_figures(text, "new") == f"before\n{BEGIN}\nnew\n{END}\nafter\n"


def test_a_document_without_markers_is_refused() -> None:
    """Nothing is overwritten by guess."""
    with pytest.raises(ValueError, match="needs the lines"):
        replace_figures("my own words", "new")


def test_figures_in_sentences_are_replaced_by_their_names() -> None:
    """What the run did not measure stays, and so do all other numbers."""
    samples = Samples({"drain.naive_per_s": [1_450.0]})
    text = "at 64 it does <!-- drain.naive_per_s -->361, in <!-- memory.peak_rss_mib -->107 MiB."
    assert replace_sentences(text, samples) == text.replace("361", "1,450")


def test_a_row_has_median_and_spread() -> None:
    """So that a reader sees how much a figure is worth."""
    assert "| drain.naive_per_s | 450 | 400 | 500 | 3 |" in as_markdown(document())


def test_an_absent_figure_says_why() -> None:
    """Never a number that was not measured."""
    text = as_markdown(document())
    assert "| drain.ceiling_per_s | absent |" in text
    assert "Absent: drain.ceiling_per_s, for wrk is not installed." in text


def test_the_tables_say_what_they_were_measured_on() -> None:
    """How busy the machine was included."""
    text = as_text(document())
    assert "Abacus, 2 cores" in text
    assert "Load average between the rounds: 0.5" in text


@pytest.mark.parametrize(("value", "text"), [(12_345.6, "12,346"), (45.67, "45.7"), (0.634, "0.63")])
def test_numbers_keep_the_digits_that_matter(value: float, text: str) -> None:
    """More would pretend a precision that no run has."""
    assert number(value) == text


def test_a_run_on_a_busy_machine_is_not_written_into_the_documents(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its figures say what the machine did; with --force they are."""
    run, page = tmp_path / "bench.json", tmp_path / "docs" / "performance.md"
    run.write_text(json.dumps(document(surroundings=[{"load_average": 2.7, "yardstick_us": 3.3}])))
    page.parent.mkdir()
    page.write_text(f"{BEGIN}\nold\n{END}\n")
    for name, path in (("BENCH", run), ("DOCUMENT", page), ("ROOT", tmp_path)):
        monkeypatch.setattr(report, name, path)
    with pytest.raises(SystemExit):
        report.main([])
    assert "other programs were running" in capsys.readouterr().err
    assert "old" in page.read_text()
    report.main(["--force"])
    assert "drain.naive_per_s" in page.read_text()
