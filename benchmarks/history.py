"""The figures of past runs, one line of JSON each, and which figures became worse. Pure, but for reading and adding.

A run is compared with the last quiet one on such a machine: one that began while the machine did little else. Figures
of a shared machine differ by more than the limit from day to day, so the time of one HMAC is kept, too.
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from benchmarks.figures import KEYS, from_json

FILE: Final = Path(__file__).with_name("history.jsonl")
LIMIT: Final = 0.10
"""The part by which a figure may be worse before it is told."""
_QUIET_PER_CORE: Final = 0.5
_COUNTS: Final = ("repeated", "resent", "growth_mib")
"""Last parts of keys whose values depend on when a process is killed, or are near zero."""

Entry = Mapping[str, Any]


def read(path: Path = FILE) -> list[Entry]:
    """Return all runs, the oldest first."""
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def add(entry: Entry, path: Path = FILE) -> None:
    """Append a run."""
    with path.open("a") as file:
        file.write(json.dumps(entry, sort_keys=True) + "\n")


def is_quiet(document: Mapping[str, Any]) -> bool:
    """Whether a run began while the machine did little else, by its `bench.json`."""
    first: float = document["surroundings"][0]["load_average"]
    cores: int = document["machine"]["cores"]
    return first <= _QUIET_PER_CORE * cores


def entry_of(document: Mapping[str, Any]) -> Entry:
    """Return what is kept of a run's `bench.json`."""
    samples, surroundings, machine = from_json(document), document["surroundings"], document["machine"]
    return {
        "at": document["at"],
        "machine": machine,
        "quiet": is_quiet(document),
        "yardstick_us": statistics.median(each["yardstick_us"] for each in surroundings),
        "figures": {key: median for key in KEYS if (median := samples.median(key)) is not None},
    }


def compared(entry: Entry, past: Sequence[Entry]) -> list[str]:
    """Say which figures are worse than in the last quiet run on such a machine, and what may explain it."""
    alike = [each for each in past if each["quiet"] and _kind(each) == _kind(entry)]
    if not alike:
        return ["no quiet run on such a machine to compare with"]
    last = alike[-1]
    worse = list(_worse(entry["figures"], last["figures"]))
    if not worse:
        return [f"no figure is more than {LIMIT:.0%} worse than in the run of {last['at']}"]
    speed = f"one HMAC takes {entry['yardstick_us']:g} us; then {last['yardstick_us']:g} us"
    noise = "" if entry["quiet"] else "; other programs were running at the beginning"
    return [f"worse than in the run of {last['at']} ({speed}{noise}):", *worse]


def _kind(entry: Entry) -> tuple[str, int]:
    return entry["machine"]["processor"], entry["machine"]["cores"]


def _worse(figures: Mapping[str, float], before: Mapping[str, float]) -> Iterator[str]:
    for key in KEYS:
        if key.endswith(_COUNTS) or not figures.get(key) or not before.get(key):
            continue
        ratio = figures[key] / before[key]
        loss = 1 - ratio if key.endswith("per_s") else ratio - 1
        if loss > LIMIT:
            yield f"  {key}: {figures[key]:,.4g} instead of {before[key]:,.4g}, {loss:.0%} worse"
