"""The table of workers."""

from __future__ import annotations

from benchmarks.workers.__main__ import Figures, as_text


def test_a_ratio_is_that_of_rates_of_one_round() -> None:
    """The median of the rounds: a slow minute of the machine affects both."""
    loops = [Figures(10, 100), Figures(100, 100), Figures(10, 100)]
    found = {"kallback aiokafka 16": [Figures(80, 20), Figures(800, 20), Figures(70, 20)], "loop, commit each": loops}
    head, kit, loop = as_text(found).splitlines()
    assert head.split()[:2] == ["worker", "tasks/s"]
    assert kit.split()[-3:] == ["80", "20", "8.0"]
    assert loop.split()[-3:] == ["10", "100", "1.0"]
