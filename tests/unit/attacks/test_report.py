"""The table of a run names each attack, its figures and its verdict."""

from __future__ import annotations

import pytest
from attacks.report import AttackResult, as_text, size
from attacks.verdicts import Bounds, Measurement

GOOD = Measurement(sent=5_000, calls=100, wait_s=0.2, bridge_mib=60, worker_mib=60, held_ms=3)
BAD = Measurement(sent=5_000, calls=100, wait_s=46, bridge_mib=60, worker_mib=60, held_ms=3)


def test_each_attack_is_a_line_with_a_verdict() -> None:
    """What fails is said again below the table, in a sentence."""
    text = as_text([AttackResult("quiet", Bounds(), GOOD), AttackResult("flood", Bounds(wait_s=1), BAD)])
    heading, quiet, flood, _, sentence = text.splitlines()
    assert heading.startswith("attack")
    assert quiet.startswith("quiet")
    assert quiet.endswith("ok")
    assert flood.endswith("FAILED")
    assert sentence == "flood: a good call waits 46 s, 1 are allowed"


def test_a_run_without_failures_is_a_table_alone() -> None:
    """Nothing follows it."""
    assert len(as_text([AttackResult("quiet", Bounds(), GOOD)]).splitlines()) == 2


@pytest.mark.parametrize(("count", "text"), [(0, "0 B"), (4_900, "5 KiB"), (28 * 1024 * 1024, "28.0 MiB")])
def test_sizes_are_readable(count: int, text: str) -> None:
    """Bytes, KiB or MiB."""
    assert size(count) == text
