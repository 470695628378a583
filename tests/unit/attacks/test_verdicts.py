"""What an attack may cost is compared with what it did cost."""

from __future__ import annotations

from dataclasses import replace

import pytest
from attacks.verdicts import MIB, Bounds, Measurement, violations

BOUNDS = Bounds(wait_s=1, settle_s=10)
CHEAP = Measurement(sent=5_000, calls=100, wait_s=0.2, bridge_mib=60, worker_mib=60, held_ms=3)


def test_an_attack_within_its_bounds_violates_none() -> None:
    """Figures at a bound are allowed."""
    assert violations(CHEAP, BOUNDS) == ()
    assert violations(replace(CHEAP, wait_s=1.0, bridge_mib=150), BOUNDS) == ()


@pytest.mark.parametrize(
    ("found", "sentence"),
    [
        (replace(CHEAP, wait_s=46.0), "a good call waits 46 s, 1 are allowed"),
        (replace(CHEAP, median_s=46.0), "half of the good calls wait 46 s, 5 are allowed"),
        (replace(CHEAP, bridge_mib=2_500), "the bridge takes"),
        (replace(CHEAP, worker_mib=878), "the worker takes"),
        (replace(CHEAP, held_ms=61_000, held_by="bridge: fetcher"), "bridge: fetcher holds the loop"),
        (replace(CHEAP, probe_s=6), "/livez takes"),
        (replace(CHEAP, log_lines=152_790), "bridge and worker log"),
        (replace(CHEAP, written=2_700 * MIB), "bridge and worker write"),
        (replace(CHEAP, settle_s=None), "positions stand below the end 10 s after the attack"),
        (replace(CHEAP, settle_s=11.0), "positions stand below the end"),
        (replace(CHEAP, calls=0), "no good call was answered"),
        (replace(CHEAP, trouble=("the bridge ended",)), "the bridge ended"),
    ],
)
def test_each_bound_is_held(found: Measurement, sentence: str) -> None:
    """One sentence says what, how much, and how much is allowed."""
    (said,) = violations(found, BOUNDS)
    assert said.startswith(sentence)


def test_the_time_for_which_the_machine_is_busy_is_no_wait() -> None:
    """The measuring process was late itself: that much is added to the bounds of waits, and of nothing else."""
    assert violations(replace(CHEAP, wait_s=3.0, lag_s=2.0), BOUNDS) == ()
    assert len(violations(replace(CHEAP, held_ms=60, lag_s=2.0), BOUNDS)) == 1
