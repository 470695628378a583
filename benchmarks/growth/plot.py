"""All curves of a run in one picture."""

# matplotlib is an extra of the benchmarks alone, so type checkers may not find it:
# pyright: basic, reportMissingImports=false

from __future__ import annotations

import statistics
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import matplotlib as mpl

mpl.use("Agg")

from matplotlib import pyplot as plt

from benchmarks.growth.curves import CURVES, Curve, Rounds

_MANY_TIMES: Final = 20
_COLOURS: Final = ("#2a6f97", "#c06014", "#6a994e", "#8d6a9f")


def draw(document: Mapping[str, Any], path: Path) -> Path:
    """Write the picture: a row of panels for each curve, one for each figure; lines are medians, bars all rounds."""
    curves = [curve for curve in CURVES if curve.name in document]
    columns = max(len(curve.figures) for curve in curves)
    figure, axes = plt.subplots(len(curves), columns, figsize=(4 * columns, 2.7 * len(curves)), squeeze=False)
    for row, curve in zip(axes, curves, strict=True):
        _row(row, curve, document[curve.name]["points"])
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    plt.close(figure)
    return path


def _row(row: Any, curve: Curve, points: Mapping[str, Rounds]) -> None:
    for axes in row[len(curve.figures) :]:
        axes.axis("off")
    for axes, (name, title), colour in zip(row, curve.figures.items(), _COLOURS, strict=False):
        measured = {label: rounds[name] for label, rounds in points.items() if rounds.get(name)}
        medians = [statistics.median(values) for values in measured.values()]
        below = [median - min(values) for median, values in zip(medians, measured.values(), strict=True)]
        above = [max(values) - median for median, values in zip(medians, measured.values(), strict=True)]
        axes.errorbar(list(measured), medians, yerr=[below, above], color=colour, marker="o", capsize=3)
        axes.set_title(title, fontsize=10)
        axes.set_xlabel(curve.axis, fontsize=9)
        if max(medians) > _MANY_TIMES * min(medians) > 0:
            axes.set_yscale("log")
        else:
            axes.set_ylim(bottom=0)
        axes.spines[["top", "right"]].set_visible(False)
