"""The table of workers."""

from __future__ import annotations

import pytest
from benchmarks.workers.__main__ import CpuSample, Figures, as_text, figures_of


def test_a_ratio_is_that_of_rates_of_one_round() -> None:
    """The median of the rounds: a slow minute of the machine affects both."""
    loops = [Figures(9, 10, 100), Figures(9, 100, 100), Figures(9, 10, 100)]
    kits = [Figures(30, 80, 20), Figures(30, 800, 20), Figures(30, 70, 20)]
    head, kit, loop = as_text({"kallback aiokafka 16": kits, "loop, commit each": loops}).splitlines()
    assert head.split()[:2] == ["worker", "tasks/s"]
    assert kit.split()[-4:] == ["80", "20", "30", "8.0"]
    assert loop.split()[-4:] == ["10", "100", "9", "1.0"]


def test_the_first_seconds_are_a_figure_of_their_own() -> None:
    """Here 100 results a second for five seconds, then a second without any, then 1,000 a second for four."""
    times = [*range(0, 5_000, 10), *range(6_000, 10_000, 1)]
    samples = [CpuSample(at, at / 10_000) for at in range(0, 10_000, 500)]
    found = figures_of(times, samples, 3_000)
    assert (found.early_per_s, round(found.per_s), round(found.cpu_us)) == (100, 1000, 100)


def test_tasks_that_do_not_last_are_no_figure() -> None:
    """The rate would be that of the first seconds."""
    with pytest.raises(ValueError, match="more --tasks"):
        figures_of(list(range(6_500)), [], 3_000)
