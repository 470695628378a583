"""Two ways to drain, in alternating rounds of one run, such as this checkout and another one (`--against PATH`).

Both drain the same kind of topic on the same Kafka and Restate, each checkout with its own `kallback bridge`; the
writer, the service and the clock are this checkout's. The two take turns in being first. Medians of all rounds are
compared.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks import drains
from benchmarks.environment import BenchmarkEnvironment
from benchmarks.figures import MODES
from benchmarks.processes import ROOT, Checkout
from benchmarks.rounds import rotated

SLOWDOWN: Final = 0.03
"""The part of its rate that a change may cost the drain."""
THIS: Final = "this"
OTHER: Final = "other"
_REST_S: Final = 1.0


@dataclass(frozen=True)
class Pair:
    """What both checkouts needed for one mode: a value of each round.

    Attributes:
        unit: `per_s` is better when it is higher, `cpu_us` when it is lower.
    """

    mode: str
    unit: str
    this: Sequence[float]
    other: Sequence[float]

    @property
    def ratio(self) -> float:
        """Median of this checkout, divided by the other's."""
        return statistics.median(self.this) / statistics.median(self.other)

    @property
    def middle_half(self) -> tuple[float, float]:
        """The ratios of single rounds without their lowest and highest quarters: how noisy the machine was."""
        ratios = [this / other for this, other in zip(self.this, self.other, strict=True)]
        lower, _, upper = statistics.quantiles([*ratios, *ratios], n=4, method="inclusive")
        return lower, upper

    @property
    def noisy(self) -> bool:
        """Whether single rounds differ by more than what is to be seen."""
        lower, upper = self.middle_half
        return upper - lower > SLOWDOWN


def compare(environment: BenchmarkEnvironment, other: Path, *, rounds: int, count: int) -> list[Pair]:
    """Drain `count` results with both checkouts in each mode, as often as there are rounds."""
    checkouts = {THIS: Checkout(ROOT), OTHER: Checkout(other)}
    return alternate(lambda mode, name: drains.bridge(environment, mode, count, checkouts[name]), rounds=rounds)


def alternate(drain: Callable[[str, str], drains.Drain], *, rounds: int) -> list[Pair]:
    """Drain in both ways and each mode, as often as there are rounds.

    Args:
        drain: drains once, in a mode and in one of the ways `THIS` and `OTHER`.
        rounds: number of drains in each way and mode.
    """
    rates: dict[tuple[str, str], list[drains.Drain]] = {}
    for number in range(1, rounds + 1):
        for mode in MODES:
            for name in rotated([THIS, OTHER], number):
                time.sleep(_REST_S)
                found = drain(mode, name)
                rates.setdefault((mode, name), []).append(found)
                print(f"  round {number} {mode} {name}: {found.per_s:,.0f}/s, {found.cpu_us:.1f} us", flush=True)
    return pairs(rates)


def pairs(rates: Mapping[tuple[str, str], Sequence[drains.Drain]]) -> list[Pair]:
    """Put the drains of both checkouts side by side, by mode and unit."""
    found: list[Pair] = []
    for mode in MODES:
        this, other = rates[mode, THIS], rates[mode, OTHER]
        found.append(Pair(mode, "per_s", [each.per_s for each in this], [each.per_s for each in other]))
        found.append(Pair(mode, "cpu_us", [each.cpu_us for each in this], [each.cpu_us for each in other]))
    return found


def as_text(found: Sequence[Pair], what: str) -> str:
    """A line for each pair, and whether the drain became slower than it may; `what` is compared."""
    lines = [f"ratio of medians, {what}"]
    for pair in found:
        lower, upper = pair.middle_half
        this, theirs = statistics.median(pair.this), statistics.median(pair.other)
        lines.append(
            f"{pair.mode:9} {pair.unit:7} {this:10,.1f} / {theirs:10,.1f} = {pair.ratio:.3f}"
            f"   (middle half of the rounds: {lower:.3f} to {upper:.3f})"
        )
    slower = [pair.mode for pair in found if pair.unit == "per_s" and pair.ratio < 1 - SLOWDOWN]
    limit = f"{SLOWDOWN:.0%}"
    lines.append(f"SLOWER by more than {limit}: {', '.join(slower)}" if slower else f"not slower by more than {limit}")
    if any(pair.noisy for pair in found if pair.unit == "per_s"):
        lines.append(f"noisy: rounds differ by more than {limit}; repeat it with more rounds on a quiet machine")
    return "\n".join(lines)
