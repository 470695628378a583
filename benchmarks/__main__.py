"""Runs the measurements in alternating rounds, prints what came out, writes `bench.json` and the plot.

The figures are added to `history.jsonl`, and what became worse since the last quiet run is told.
"""

from __future__ import annotations

import argparse
import json
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from benchmarks import comparison, drains, history, machine, memory, recovery, report, roundtrips
from benchmarks.environment import BenchmarkEnvironment, open_environment
from benchmarks.figures import Samples
from benchmarks.processes import Checkout

OUT: Final = Path(__file__).parent / "out"
PARTS: Final = ("drain", "roundtrip", "recovery", "memory")
_MEMORY: Final = 200_000
"""A quarter of it fills the window of delivered tokens, which is no growth."""
_MEMORY_FULL: Final = 1_000_000


def main() -> None:
    """Run."""
    options = _options()
    if options.against is None:
        _benchmark(options)
    else:
        _compare(options, options.against.resolve())


def _compare(options: argparse.Namespace, other: Path) -> None:
    Checkout(other).require_own_package()
    with open_environment() as environment:
        print(f"{machine.describe(environment.stack)}, {machine.surroundings()}", flush=True)
        found = comparison.compare(environment, other, rounds=options.rounds, count=options.results)
        print(f"{machine.surroundings()}\n\n{comparison.as_text(found, f'this checkout / {other}')}")


def _benchmark(options: argparse.Namespace) -> None:
    began = time.monotonic()
    with open_environment() as environment:
        document: dict[str, Any] = {
            "machine": machine.describe(environment.stack),
            "options": _measured_options(options),
        }
        surroundings = [machine.surroundings()]
        samples = _measure(environment, options, surroundings)
    document |= {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "took_s": round(time.monotonic() - began),
        "surroundings": surroundings,
        **samples.nested(),
        "rounds": samples.values,
        "absent": samples.absent,
    }
    out: Path = options.out
    out.mkdir(parents=True, exist_ok=True)
    (out / "bench.json").write_text(json.dumps(document, indent=2) + "\n")
    print(report.as_text(document))
    entry = history.entry_of(document)
    print("\n".join(history.compared(entry, history.read())))
    history.add(entry)
    _plot(samples, out / "bench.png")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="of each measurement, alternating (default 3)")
    parser.add_argument("--results", type=int, default=drains.DrainSizes.bridge, help="for a bridge to drain")
    parser.add_argument("--only", default=",".join(PARTS), help=f"some of {','.join(PARTS)}")
    parser.add_argument("--full", action="store_true", help=f"measure memory over {_MEMORY_FULL:,} results")
    parser.add_argument("--against", type=Path, metavar="PATH", help="only drain: this checkout and the one at PATH")
    parser.add_argument("--out", type=Path, default=OUT, help="directory of bench.json and the plot")
    options = parser.parse_args()
    options.memory_results = _MEMORY_FULL if options.full else _MEMORY
    return options


def _measured_options(options: argparse.Namespace) -> dict[str, Any]:
    """The options that say what was measured."""
    return {name: value for name, value in vars(options).items() if name not in {"out", "against"}}


def _measure(
    environment: BenchmarkEnvironment, options: argparse.Namespace, surroundings: list[dict[str, float]]
) -> Samples:
    samples, parts = Samples(), options.only.split(",")
    sizes = drains.DrainSizes(bridge=options.results)
    for number in range(1, options.rounds + 1):
        print(f"round {number} of {options.rounds}, {surroundings[-1]}", flush=True)
        before = {key: len(values) for key, values in samples.values.items()}
        if "drain" in parts:
            drains.measure(environment, samples, sizes, number)
        if "roundtrip" in parts:
            with roundtrips.worker_and_bridge(environment):
                roundtrips.measure(environment, samples, number)
        if "recovery" in parts:
            recovery.measure(environment, samples)
        surroundings.append(machine.surroundings())
        _show(samples, before)
    if "memory" in parts:
        print(f"memory, {options.memory_results:,} results", flush=True)
        memory.measure(environment, samples, options.memory_results)
    return samples


def _show(samples: Samples, before: dict[str, int]) -> None:
    """What a round brought: a run takes minutes, and one wants to see that it gets somewhere."""
    for key, values in samples.values.items():
        if len(values) > before.get(key, 0):
            print(f"  {key} {report.number(values[-1])}", flush=True)


def _plot(samples: Samples, path: Path) -> None:
    try:
        from benchmarks.plot import draw  # noqa: PLC0415 - it alone needs matplotlib
    except ModuleNotFoundError as error:
        print(f"no plot: {error.name} is not installed; `make bench` installs it")
    else:
        print(f"plot: {draw(samples, path)}")


if __name__ == "__main__":
    main()
