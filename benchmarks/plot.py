"""The figures as one picture: drains beside each other, CPU per record, round trips."""

# matplotlib is an extra of the benchmarks alone, so type checkers may not find it:
# pyright: basic, reportMissingImports=false

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import matplotlib as mpl

mpl.use("Agg")

from matplotlib import pyplot as plt

from benchmarks.figures import DRAINS, LOADS, MODES, WAYS, Samples

_OURS: Final = "#2a6f97"
_OTHERS: Final = "#a9b4c2"
_LABELS: Final = {"c1": "1 call", "c64": "64 calls"}


def draw(samples: Samples, path: Path) -> Path:
    """Write the picture; bars are medians, lines reach from the lowest to the highest round."""
    figure, (rates, cpu, trips) = plt.subplots(1, 3, figsize=(14, 4.5), width_ratios=(5, 2, 4))
    _bars(rates, samples, {name: f"drain.{name}_per_s" for name in DRAINS}, "results drained per second")
    _bars(cpu, samples, {name: f"drain.{name}_cpu_us" for name in MODES}, "bridge CPU, µs per record")
    _bars(
        trips,
        samples,
        {f"{way}\n{_LABELS[load]}": f"roundtrip.{way}.{load}.p50_ms" for load in LOADS for way in WAYS},
        "round trip p50, ms",
    )
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    plt.close(figure)
    return path


def _bars(axes: Any, samples: Samples, keys: dict[str, str], title: str) -> None:
    axes.set_title(title)
    axes.spines[["top", "right"]].set_visible(False)
    for name, key in keys.items():
        median, values = samples.median(key), samples.values.get(key)
        if median is None or values is None:
            axes.bar(name, 0)
            axes.text(name, 0, "absent", ha="center", va="bottom", rotation=90, color="grey")
            continue
        ours = name in MODES or name.startswith("kallback")
        spread = [[median - min(values)], [max(values) - median]]
        axes.bar(name, median, color=_OURS if ours else _OTHERS, yerr=spread, capsize=3)
        axes.text(name, median, f" {median:,.0f}" if median >= 100 else f" {median:.1f}", ha="left", va="bottom")  # noqa: PLR2004 - digits
