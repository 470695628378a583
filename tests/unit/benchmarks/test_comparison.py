"""Two checkouts side by side."""

from __future__ import annotations

from pathlib import Path

import pytest
from benchmarks.comparison import OTHER, THIS, Pair, alternate, as_text, pairs
from benchmarks.drains import Drain
from benchmarks.figures import MODES
from benchmarks.processes import ROOT, Checkout


def a_pair(this: list[float], other: list[float], unit: str = "per_s") -> Pair:
    """What both checkouts needed in ingress mode."""
    return Pair("ingress", unit, this, other)


def test_the_ratio_is_that_of_the_medians() -> None:
    """One round in which the machine was busy changes nothing."""
    assert a_pair([100.0, 98.0, 20.0], [100.0, 100.0, 100.0]).ratio == pytest.approx(0.98)


def test_the_middle_half_leaves_out_the_extremes() -> None:
    """A reader sees how much of the ratio may be noise; one odd round is none."""
    assert a_pair([20.0, 99.0, 100.0, 101.0, 500.0], [100.0] * 5).middle_half == (0.99, 1.01)


def test_a_noisy_machine_is_called_noisy() -> None:
    """A ratio of rounds that differ by more than the limit proves nothing."""
    text = as_text([a_pair([90.0, 110.0], [100.0, 100.0])], "this / other")
    assert text.splitlines()[-1].startswith("noisy: rounds differ by more than 3%")


@pytest.mark.parametrize(
    ("this", "sentence"), [(97.0, "not slower by more than 3%"), (96.9, "SLOWER by more than 3%: ingress")]
)
def test_more_than_three_percent_is_called_slower(this: float, sentence: str) -> None:
    """The last line is the verdict on the rate."""
    assert as_text([a_pair([this], [100.0])], "this / other").splitlines()[-1] == sentence


def test_cpu_alone_makes_no_drain_slower() -> None:
    """CPU per record is shown beside the rate, which is what counts."""
    assert as_text([a_pair([90.0], [80.0], "cpu_us")], "this / other").endswith("not slower by more than 3%")


def test_each_mode_has_its_rate_and_its_cpu() -> None:
    """Rounds keep their order, so that those of one round can be compared."""
    drains = {(mode, name): [Drain(1.0, 2.0), Drain(3.0, 4.0)] for mode in MODES for name in (THIS, OTHER)}
    found = pairs(drains)
    assert [(each.mode, each.unit) for each in found] == [
        (mode, unit) for mode in MODES for unit in ("per_s", "cpu_us")
    ]
    assert found[0].this == [1.0, 3.0]


def test_a_checkout_runs_its_own_code() -> None:
    """What is installed beside it is not what is measured."""
    Checkout(ROOT).require_own_package()


def test_a_folder_without_the_package_is_refused(tmp_path: Path) -> None:
    """Otherwise a checkout would be compared with itself."""
    with pytest.raises(SystemExit, match="has no package kallback that starts here"):
        Checkout(tmp_path).require_own_package()


def test_both_ways_take_turns_in_being_first() -> None:
    """What the first drain of a round leaves behind must not always hit the same way."""
    order: list[tuple[str, str]] = []

    def drain(mode: str, name: str) -> Drain:
        order.append((mode, name))
        return Drain(1.0, 2.0)

    alternate(drain, rounds=2)

    assert [name for mode, name in order if mode == "ingress"] == [THIS, OTHER, OTHER, THIS]
