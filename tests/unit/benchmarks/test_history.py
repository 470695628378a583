"""What is kept of a run, and what is told of a later one."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from benchmarks.history import add, compared, entry_of, read

MACHINE = {"processor": "P", "cores": 2}


def run(load: float = 0.5, at: str = "then", medians: Mapping[str, float] | None = None) -> dict[str, Any]:
    """A bench.json."""
    return {
        "at": at,
        "machine": MACHINE,
        "surroundings": [{"load_average": load, "yardstick_us": 2.0}, {"load_average": 9.0, "yardstick_us": 4.0}],
        "rounds": {key: [value, value, value * 5] for key, value in (medians or {}).items()},
        "absent": {},
    }


def test_a_run_is_quiet_by_what_ran_before_it() -> None:
    """Its own load comes later."""
    assert entry_of(run(1.0))["quiet"]
    assert not entry_of(run(1.1))["quiet"]


def test_what_is_kept_is_read_again(tmp_path: Path) -> None:
    """One line each, the oldest first."""
    entries = [entry_of(run(at=at, medians={"drain.ingress_per_s": 7000})) for at in ("first", "second")]
    for entry in entries:
        add(entry, tmp_path / "history.jsonl")
    assert read(tmp_path / "history.jsonl") == entries
    assert entries[0]["figures"] == {"drain.ingress_per_s": 7000}
    assert entries[0]["yardstick_us"] == 3.0


def test_without_a_file_there_are_no_runs(tmp_path: Path) -> None:
    """Of a new checkout."""
    assert read(tmp_path / "history.jsonl") == []


@pytest.mark.parametrize(
    ("key", "before", "after", "told"),
    [
        ("drain.ingress_per_s", 1000, 890, "11% worse"),
        ("drain.ingress_per_s", 1000, 905, None),
        ("drain.ingress_per_s", 1000, 2000, None),
        ("drain.ingress_cpu_us", 100, 111, "11% worse"),
        ("drain.ingress_cpu_us", 100, 109, None),
        ("recovery.resent", 100, 900, None),
    ],
)
def test_what_is_more_than_a_tenth_worse_is_told(key: str, before: float, after: float, told: str | None) -> None:
    """Rates that fall, times that grow; no counts that depend on when a process is killed."""
    lines = compared(entry_of(run(medians={key: after})), [entry_of(run(medians={key: before}))])
    assert (told in lines[-1]) if told else lines == ["no figure is more than 10% worse than in the run of then"]


def test_runs_on_busy_or_other_machines_are_not_compared_with() -> None:
    """They say nothing of a change."""
    other = entry_of(run()) | {"machine": MACHINE | {"cores": 64}}  # type: ignore[operator]
    lines = compared(entry_of(run()), [other, entry_of(run(9.0))])
    assert lines == ["no quiet run on such a machine to compare with"]
