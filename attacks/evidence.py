"""Evidence that hostile records reach the code that they aim at: counters of bridge and worker that an attack raises.

An attack whose records are lost on the way would hold every bound. So each attack says which counters it must raise,
and a run in which they stand still has failed. Pure, but for reading the counters of a program.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

import httpx
from prometheus_client.parser import text_string_to_metric_families

_TIMEOUT_S: Final = 10.0

Counters = Mapping[tuple[str, frozenset[str]], float]
"""Samples of counters by metric and values of labels."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """What an attack must raise.

    Attributes:
        metrics: names without `kallback_` and `_total`; their rises are added up.
        values: only samples with a label of one of these values count; empty: all samples.
        least: by how much at least.
    """

    metrics: tuple[str, ...]
    values: frozenset[str]
    least: int


def judged_results(least: int, *reasons: str) -> Evidence:
    """Result records that were dead-lettered, or that a summary counts."""
    return Evidence(("bridge_dead_letters", "bridge_summarized_records"), frozenset(reasons), least)


def judged_progress(least: int, *outcomes: str) -> Evidence:
    """Progress records that were dropped."""
    values = outcomes or ("unverified", "invalid", "late", "refused")
    return Evidence(("bridge_progress",), frozenset(values), least)


def judged_tasks(least: int, *reasons: str) -> Evidence:
    """Task records that were dead-lettered."""
    return Evidence(("worker_dead_letters",), frozenset(reasons), least)


def task_outcomes(least: int, *outcomes: str) -> Evidence:
    """Task records with another end."""
    return Evidence(("worker_records",), frozenset(outcomes), least)


def judged_control(least: int, *outcomes: str) -> Evidence:
    """Records of the control topic that a worker read."""
    return Evidence(("worker_control_records",), frozenset(outcomes or ("invalid", "unreadable")), least)


async def counters_of(port: int) -> Counters:
    """Read the counters of a program; none if it does not answer."""
    try:
        async with httpx.AsyncClient(timeout=_TIMEOUT_S) as http:
            text = (await http.get(f"http://127.0.0.1:{port}/metrics")).text
    except httpx.HTTPError:
        return {}
    return {
        (sample.name.removeprefix("kallback_").removesuffix("_total"), frozenset(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(text)
        if family.type == "counter"
        for sample in family.samples
    }


def missing(wanted: Iterable[Evidence], before: Counters, after: Counters) -> list[str]:
    """What an attack should have raised and has not, in sentences."""
    rises = ((each, _rise(each, before, after)) for each in wanted)
    return [
        f"the attack missed its aim: {' + '.join(each.metrics)} of {', '.join(sorted(each.values)) or 'all'} rose by "
        f"{rise:g}, and not by {each.least}"
        for each, rise in rises
        if rise < each.least
    ]


def _rise(evidence: Evidence, before: Counters, after: Counters) -> float:
    return sum(
        value - before.get(sample, 0.0)
        for sample, value in after.items()
        if sample[0] in evidence.metrics and (not evidence.values or sample[1] & evidence.values)
    )
