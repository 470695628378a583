"""Measures curves in alternating rounds, prints their tables, writes `growth.json` and `growth.png`.

python -m benchmarks.growth --only values          one curve, or several with commas
python -m benchmarks.growth --full                 200,000 waiting tasks and 1,000,000 records of history, too
python -m benchmarks.growth --scale 0.01           everything small, to try it

Curves of earlier runs stay in `growth.json` until they are measured again: one run for each is as good as one for all.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from benchmarks import machine
from benchmarks.environment import BenchmarkEnvironment
from benchmarks.growth import drained, started
from benchmarks.growth.curves import CURVES, Curve, as_text, by_name
from benchmarks.growth.drained import Points, Sizes
from benchmarks.report import number
from benchmarks.rounds import rotated

OUT: Final = Path(__file__).parents[1] / "out"

Opened = AbstractContextManager[tuple[BenchmarkEnvironment, Points]]
_OPEN: Final[Mapping[str, Callable[[Sizes], Opened]]] = {
    "partitions": drained.partitions,
    "values": drained.values,
    "waiting": drained.waiting,
    "bridges": drained.bridges,
    "history": started.history,
}


def main() -> None:
    """Run."""
    options = _options()
    sizes = Sizes(options.results, options.mode, full=options.full, scale=options.scale)
    file: Path = options.out / "growth.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    document: dict[str, Any] = json.loads(file.read_text()) if file.exists() else {}
    for curve in options.only:
        document[curve.name] = _measured(curve, sizes, options.rounds)
        file.write_text(json.dumps(document, indent=2) + "\n")
    print(f"\n{as_text(document)}")
    _plot(document, file.with_suffix(".png"))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.growth", description=__doc__)
    names = ",".join(curve.name for curve in CURVES)
    parser.add_argument("--only", default=names, help=f"some of {names}")
    parser.add_argument("--rounds", type=int, default=3, help="of each point, alternating (default 3)")
    parser.add_argument("--results", type=int, default=20_000, help="of a drain (default 20,000)")
    parser.add_argument("--mode", default="ingress", help="of the bridge's --completer (default ingress)")
    parser.add_argument("--full", action="store_true", help="the largest points, too")
    parser.add_argument("--scale", type=float, default=1.0, help="a part of all sizes, to try it")
    parser.add_argument("--out", type=Path, default=OUT, help="directory of growth.json and the picture")
    options = parser.parse_args()
    try:
        options.only = by_name(options.only.split(","))
    except ValueError as error:
        parser.error(str(error))
    return options


def _measured(curve: Curve, sizes: Sizes, rounds: int) -> dict[str, Any]:
    """A curve's points, with what they were measured on."""
    before = machine.surroundings()
    print(f"{curve.name}, {before}", flush=True)
    with _OPEN[curve.name](sizes) as (environment, points):
        on = machine.describe(environment.stack)
        found = _rounds(curve, points, rounds)
    return {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": on,
        "options": {"rounds": rounds, "results": sizes.count, "mode": sizes.mode},
        "surroundings": [before, machine.surroundings()],
        "points": found,
    }


def _rounds(curve: Curve, points: Points, rounds: int) -> dict[str, dict[str, list[float]]]:
    """The values of all rounds, by point and figure."""
    found = {label: {name: list[float]() for name in curve.figures} for label in points}
    for turn in range(1, rounds + 1):
        for label in rotated(list(points), turn):
            measured = points[label]()
            for name in curve.figures:
                found[label][name].append(measured[name])
            shown = ", ".join(f"{number(measured[name])} {title}" for name, title in curve.figures.items())
            print(f"  round {turn}, {label}: {shown}", flush=True)
    return found


def _plot(document: Mapping[str, Any], path: Path) -> None:
    try:
        from benchmarks.growth.plot import draw  # noqa: PLC0415 - it alone needs matplotlib
    except ModuleNotFoundError as error:
        print(f"no plot: {error.name} is not installed; `make bench` installs it")
    else:
        print(f"plot: {draw(document, path)}")


if __name__ == "__main__":
    main()
