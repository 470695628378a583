"""Curves: their points, and their tables."""

from __future__ import annotations

import json
from typing import Any

import pytest
from benchmarks.growth.curves import CURVES, as_markdown, as_text, by_name, results_of, rows, scaled, size_text
from benchmarks.growth.report import lost_curves
from benchmarks.records import value_of
from tests.unit.benchmarks.test_report import MACHINE

SURROUNDINGS = {"load_average": 0.5, "yardstick_us": 1.5}
BRIDGES = by_name(["bridges"])[0]
POINTS = {"1": {"per_s": [100.0, 300.0, 200.0], "cpu_us": [50.0]}, "2": {"per_s": [400.0], "cpu_us": []}}


def document() -> dict[str, Any]:
    """A run of one curve."""
    return {
        "bridges": {
            "at": "2026-01-01T00:00:00+00:00",
            "machine": MACHINE,
            "options": {"rounds": 3, "results": 20_000, "mode": "ingress"},
            "surroundings": [SURROUNDINGS, SURROUNDINGS],
            "points": POINTS,
        }
    }


def test_curves_are_measured_in_their_own_order() -> None:
    """Whatever the order in which they are asked for."""
    assert [curve.name for curve in by_name(["history", "partitions"])] == ["partitions", "history"]


def test_an_unknown_curve_is_refused() -> None:
    """With the names of those that there are."""
    with pytest.raises(ValueError, match="no curve is called size: choose of partitions, values"):
        by_name(["size"])


@pytest.mark.parametrize(("size", "text"), [(100, "100 B"), (1_000, "1 KB"), (900_000, "900 KB")])
def test_sizes_are_written_as_people_do(size: int, text: str) -> None:
    """They are the labels of a curve."""
    assert size_text(size) == text


def test_scaled_sizes_stay_different() -> None:
    """Or two points of a curve would have one label."""
    assert scaled([0, 10_000, 50_000], 0.01) == [0, 100, 500]
    assert scaled([0, 10, 50], 0.001) == [0, 1, 2]


def test_a_drain_of_large_values_has_fewer_results() -> None:
    """The bytes are bounded, but some results are needed for a rate."""
    assert results_of(100, 20_000, 1_000_000) == 10_000
    assert results_of(10, 20_000, 1_000_000) == 20_000
    assert results_of(900_000, 20_000, 1_000_000) == 64


@pytest.mark.parametrize("size", [64, 100, 127, 128, 1_000, 900_000])
def test_a_value_has_its_size_and_is_json(size: int) -> None:
    """The bridge under measurement checks it."""
    value = value_of(size)
    assert (len(value), bool(json.loads(value))) == (size, True)


@pytest.mark.parametrize(("number", "said"), [(1, "1 round."), (3, "3 rounds.")])
def test_a_table_says_of_how_many_rounds_it_is(number: int, said: str) -> None:
    """One of them is no plural."""
    run = document()
    run["bridges"]["options"]["rounds"] = number
    assert as_markdown(run).splitlines()[0].endswith(f" per drain, {said}")


def test_a_cell_has_the_median_and_the_spread() -> None:
    """A figure of one round stands alone, and one that was not measured says so."""
    assert list(rows(BRIDGES, POINTS)) == [
        ("bridges", "results/s", "bridge CPU of a result, us"),
        ("1", "200 (100 to 300)", "50.0"),
        ("2", "400", "absent"),
    ]


def test_tables_say_what_they_were_measured_on() -> None:
    """In the terminal and in the document."""
    for text in (as_text(document()), as_markdown(document())):
        assert "Abacus, 2 cores" in text
        assert "load average 0.5 and 0.5" in text
    assert "| 1 | 200 (100 to 300) | 50.0 |" in as_markdown(document())


def test_curves_that_were_not_measured_have_no_table() -> None:
    """Each can be run alone."""
    assert not any(curve.axis in as_text(document()) for curve in CURVES if curve is not BRIDGES)


def test_a_page_loses_no_curve_of_which_there_is_no_run() -> None:
    """A run of one curve does not replace the tables of all others."""
    page = "\n| bridges | results/s |\n\n| partitions | results/s |\n"
    assert lost_curves({"partitions": {}}, page) == ["bridges"]
