"""Medians, ratios and verdicts of a run."""

from __future__ import annotations

import pytest
from benchmarks.figures import KEYS, TARGETS, Samples, from_json, percentile, target_results


def samples(**rounds: list[float]) -> Samples:
    """Rounds by key, with `__` for the dots."""
    return Samples({key.replace("__", "."): values for key, values in rounds.items()})


def result(found: Samples, name: str) -> object:
    """How a run stands to one target: value and verdict."""
    return next((each.value, each.verdict) for each in target_results(found) if each.target.name == name)


def test_a_figure_is_the_median_of_its_rounds() -> None:
    """One slow round changes nothing."""
    assert samples(drain__naive_per_s=[500.0, 10.0, 510.0]).median("drain.naive_per_s") == 500.0


def test_what_was_not_measured_is_null() -> None:
    """A key that a run has no value for is in the document all the same."""
    drain = samples(drain__naive_per_s=[1.0]).nested()["drain"]
    assert (drain["naive_per_s"], drain["notifier_per_s"]) == (1.0, None)


def test_the_tree_has_every_key() -> None:
    """The dots of a key are levels of the document."""
    tree = Samples().nested()
    for key in KEYS:
        branch = tree
        for name in key.split("."):
            branch = branch[name]
        assert branch is None


def test_ratios_are_those_of_one_round() -> None:
    """What disturbs a whole round disturbs both sides of its ratio: 8/10, 3/10, 9/10."""
    found = samples(drain__ingress_per_s=[80.0, 3.0, 900.0], drain__ceiling_per_s=[100.0, 10.0, 1000.0])
    assert result(found, "ingress / wrk ceiling") == (pytest.approx(0.8), "reached")


def test_a_target_below_its_limit_is_missed() -> None:
    """At least means at least."""
    found = samples(drain__ingress_per_s=[64.0], drain__ceiling_per_s=[100.0])
    assert result(found, "ingress / wrk ceiling") == (0.64, "MISSED")


def test_a_target_above_its_limit_is_missed() -> None:
    """At most means at most."""
    assert result(samples(drain__ingress_cpu_us=[60.5]), "bridge CPU per record, ingress") == (60.5, "MISSED")


def test_a_target_without_its_figures_is_not_judged() -> None:
    """Half of a ratio is nothing."""
    assert result(samples(drain__ingress_per_s=[64.0]), "ingress / wrk ceiling") == (None, "not measured")


def test_targets_ask_for_keys_that_exist() -> None:
    """A misspelt key would never be measured, and nobody would see it."""
    assert {key for target in TARGETS for key in target.needs} <= set(KEYS)


@pytest.mark.parametrize(("share", "value"), [(0.5, 2), (0.99, 4), (0.01, 1)])
def test_percentiles_are_values_that_were_measured(share: float, value: float) -> None:
    """Nearest rank: nothing is interpolated."""
    assert percentile([4, 1, 3, 2], share) == value


def test_samples_survive_their_document() -> None:
    """Tables can be made again from bench.json."""
    document = {"rounds": {"drain.naive_per_s": [1.0]}, "absent": {"drain.ceiling_per_s": "wrk is not installed"}}
    assert from_json(document) == Samples({"drain.naive_per_s": [1.0]}, {"drain.ceiling_per_s": "wrk is not installed"})
