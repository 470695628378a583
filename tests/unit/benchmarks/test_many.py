"""The table of handlers that wait for many tasks."""

from __future__ import annotations

from benchmarks.many.__main__ import HEADS, as_text


def test_a_row_has_the_medians_of_its_rounds() -> None:
    """One row for each way and number of tasks."""
    rounds = [dict.fromkeys(HEADS, value) for value in (1.0, 30.0, 2.0)]
    head, row = as_text({("gather, connected", 1_000): rounds}).splitlines()
    assert head.split()[:2] == ["tasks", "seconds"]
    assert row.split() == ["gather,", "connected", "1,000", *["2.00"] * len(HEADS)]
