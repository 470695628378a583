"""Figures of a run: samples by key and round, their medians, and how they stand to what was to be reached. Pure."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

DRAINS: Final = ("ceiling", "ingress", "notifier", "native", "naive")
MODES: Final = ("ingress", "notifier")
WAYS: Final = ("direct", "durable", "kallback")
LOADS: Final = ("c1", "c64")
TRIP_FIGURES: Final = ("per_s", "p50_ms", "p99_ms", "p999_ms", "max_ms", "repeated")
"""`repeated` counts handlers that Restate started more than once."""

KEYS: Final = (
    *(f"drain.{name}_per_s" for name in DRAINS),
    *(f"drain.{name}_cpu_us" for name in MODES),
    *(f"roundtrip.{way}.{load}.{figure}" for way in WAYS for load in LOADS for figure in TRIP_FIGURES),
    "recovery.resume_s",
    "recovery.resent",
    "recovery.restate_start_s",
    "recovery.restate_down_s",
    "memory.peak_rss_mib",
    "memory.growth_mib",
)
"""Every figure that a run can have, in the order of the tables."""


@dataclass
class Samples:
    """What was measured: one value per key and round, and why a key has none."""

    values: dict[str, list[float]] = field(default_factory=dict[str, list[float]])
    absent: dict[str, str] = field(default_factory=dict[str, str])

    def add(self, key: str, value: float) -> None:
        """Note one round's value."""
        self.values.setdefault(key, []).append(value)

    def median(self, key: str) -> float | None:
        """The middle of all rounds; None if there is none."""
        values = self.values.get(key)
        return statistics.median(values) if values else None

    def nested(self) -> dict[str, Any]:
        """The medians as a tree: `drain.ceiling_per_s` is found under `drain`; null where nothing was measured."""
        tree: dict[str, Any] = {}
        for key in KEYS:
            *path, leaf = key.split(".")
            branch = tree
            for name in path:
                branch = branch.setdefault(name, {})
            branch[leaf] = self.median(key)
        return tree


@dataclass(frozen=True)
class Target:
    """Something to reach.

    Attributes:
        needs: keys, whose values of one round are given to `of` together.
        of: what is compared with the limit.
        unit: printed after the number; `x` for a ratio.
    """

    name: str
    needs: tuple[str, ...]
    of: Callable[..., float]
    limit: float
    at_least: bool
    unit: str = "x"


@dataclass(frozen=True)
class TargetResult:
    """How a run stands to one target: the median over its rounds, or None."""

    target: Target
    value: float | None

    @property
    def reached(self) -> bool | None:
        """Whether the target is reached; None if it was not measured."""
        if self.value is None:
            return None
        return self.value >= self.target.limit if self.target.at_least else self.value <= self.target.limit

    @property
    def verdict(self) -> str:
        """The same as a word."""
        return {None: "not measured", True: "reached", False: "MISSED"}[self.reached]


def _quotient(first: float, second: float) -> float:
    return first / second


def _difference(first: float, second: float) -> float:
    return first - second


def _itself(value: float) -> float:
    return value


def _ratio(name: str, first: str, second: str, limit: float) -> Target:
    return Target(name, (first, second), _quotient, limit, at_least=True)


def _most(name: str, key: str, limit: float, unit: str) -> Target:
    return Target(name, (key,), _itself, limit, at_least=False, unit=unit)


TARGETS: Final = (
    _ratio("ingress / wrk ceiling", "drain.ingress_per_s", "drain.ceiling_per_s", 0.75),
    _ratio("notifier / wrk ceiling", "drain.notifier_per_s", "drain.ceiling_per_s", 0.85),
    *(_ratio(f"{mode} / native subscription", f"drain.{mode}_per_s", "drain.native_per_s", 12) for mode in MODES),
    *(_ratio(f"{mode} / naive loop", f"drain.{mode}_per_s", "drain.naive_per_s", 15) for mode in MODES),
    _most("bridge CPU per record, ingress", "drain.ingress_cpu_us", 60, "us"),
    _most("bridge CPU per record, notifier", "drain.notifier_cpu_us", 28, "us"),
    _ratio(
        "round trips at 64, kallback / durable", "roundtrip.kallback.c64.per_s", "roundtrip.durable.c64.per_s", 0.75
    ),
    Target(
        "calls at 64, p99 / p50",
        ("roundtrip.kallback.c64.p99_ms", "roundtrip.kallback.c64.p50_ms"),
        _quotient,
        2,
        at_least=False,
    ),
    Target(
        "round trip p50 at 1, above direct",
        ("roundtrip.kallback.c1.p50_ms", "roundtrip.direct.c1.p50_ms"),
        _difference,
        4.2,
        at_least=False,
        unit="ms",
    ),
    _most("resumes after kill -9", "recovery.resume_s", 3, "s"),
    Target(
        "sent again after kill -9, as seconds of load",
        ("recovery.resent", "drain.ingress_per_s"),
        _quotient,
        2,
        at_least=False,
        unit="s",
    ),
    _most("resumes after Restate's return", "recovery.restate_down_s", 1, "s"),
    _most("peak RSS", "memory.peak_rss_mib", 150, "MiB"),
    _most("RSS growth, last three quarters", "memory.growth_mib", 8, "MiB"),
)


def target_results(samples: Samples) -> list[TargetResult]:
    """Compare with every target: values of one round with each other, then the median of the rounds."""
    found: list[TargetResult] = []
    for target in TARGETS:
        columns = [samples.values.get(key, []) for key in target.needs]
        rounds = [target.of(*row) for row in zip(*columns, strict=False)]
        found.append(TargetResult(target, statistics.median(rounds) if rounds else None))
    return found


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least this share of the values does not exceed (nearest rank)."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def from_json(document: Mapping[str, Any]) -> Samples:
    """Read the samples of a bench.json."""
    return Samples(dict(document["rounds"]), dict(document["absent"]))
