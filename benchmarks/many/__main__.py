"""Has one handler start many tasks and wait for all of them, with worker and bridge. `python -m benchmarks.many`.

A handler stays connected, or is suspended whenever it waits: then results resume it, and it replays its journal. How
often depends on how slowly they come (`--spread`).
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final
from uuid import uuid4

import httpx

from benchmarks import machine
from benchmarks.environment import ROOT, BenchmarkEnvironment, open_environment
from benchmarks.many.worker import SPREAD
from benchmarks.processes import BridgeProcess, running
from benchmarks.report import number
from benchmarks.rounds import rotated
from kallback.testing import ServiceProcess

OUT: Final = Path(__file__).parents[1] / "out" / "many.json"
WAYS: Final = {
    "gather, connected": "ManyConnected/all",
    "gather(partial=True), connected": "ManyConnected/each",
    "gather in ten handlers, connected": "ManyConnected/split",
    "gather, suspended": "ManySuspended/all",
    "gather(partial=True), suspended": "ManySuspended/each",
}
HEADS: Final = {
    "took_s": "seconds",
    "starts": "handler started",
    "cpu_s": "CPU of the service, s",
    "peak_rss_mib": "peak RSS of the service, MiB",
    "entries": "journal entries",
    "journal_kib": "journal, KiB",
}
_TIMEOUT_S: Final = 900.0
Figures = dict[str, float]


def main() -> None:
    """Run."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.many", description=__doc__)
    parser.add_argument("--tasks", default="1000", help="of one handler, such as 1000,10000 (default 1000)")
    parser.add_argument("--rounds", type=int, default=3, help="of each measurement, alternating (default 3)")
    parser.add_argument("--spread", type=float, default=0.0, help="seconds that a task takes at most (default 0)")
    parser.add_argument("--only", default="", help="ways whose name contains this")
    options = parser.parse_args()
    ways = [name for name in WAYS if options.only in name]
    cases = [(name, int(count)) for count in options.tasks.split(",") for name in ways]
    found: dict[tuple[str, int], list[Figures]] = {case: [] for case in cases}
    with open_environment() as environment, _worker_and_bridge(environment, options.spread):
        print(f"{machine.describe(environment.stack)}, {machine.surroundings()}", flush=True)
        env = environment.variables(environment.home)
        service = ServiceProcess("benchmarks.many.service:app", environment.stack.restate, env=env, cwd=ROOT)
        with closing(service):
            service.start()
            for turn in range(1, options.rounds + 1):
                for case in rotated(cases, turn):
                    figures = _measure(environment, *case)
                    found[case].append(figures)
                    print(f"  round {turn}, {case}: {figures}", flush=True)
    OUT.parent.mkdir(parents=True, exist_ok=True)
    OUT.write_text(json.dumps({f"{name}, {count}": rounds for (name, count), rounds in found.items()}, indent=2) + "\n")
    print(f"{machine.surroundings()}\n\n{as_text(found)}")


@contextmanager
def _worker_and_bridge(environment: BenchmarkEnvironment, spread: float) -> Generator[None]:
    env = environment.variables(environment.home) | {SPREAD: str(spread)}
    command = ["kallback.cli", "worker", "benchmarks.many.worker:worker"]
    with (
        running("worker", command, env=env, log=environment.log("worker"), ready=None),
        BridgeProcess("ingress", env=env, log=environment.log("bridge")),
    ):
        yield


def _measure(environment: BenchmarkEnvironment, way: str, count: int) -> Figures:
    with httpx.Client(base_url=environment.stack.ingress_url, timeout=_TIMEOUT_S) as http:
        before = _read_meter(http)
        began = time.monotonic()
        sent = http.post(f"/{WAYS[way]}/send", json=count, headers={"idempotency-key": uuid4().hex})
        invocation = sent.raise_for_status().json()["invocationId"]
        completed = http.get(f"/restate/invocation/{invocation}/attach").raise_for_status().json()
        took = time.monotonic() - began
        after = _read_meter(http)
    if completed != count:
        raise RuntimeError(f"{way}: {completed} of {count} tasks have a result")
    used = {"starts": after["starts"], "cpu_s": after["cpu_s"] - before["cpu_s"], "peak_rss_mib": after["peak_rss_mib"]}
    return {"took_s": took} | used | _journal(environment.stack.admin_url, invocation)


def _read_meter(http: httpx.Client) -> Figures:
    found: Figures = http.post("/ManyMeter/read", json="").raise_for_status().json()
    return found


def _journal(admin_url: str, invocation: str) -> Figures:
    """The size of an invocation's journal."""
    query = f"SELECT count(*) AS n, sum(raw_length) AS bytes FROM sys_journal WHERE id = '{invocation}'"
    answer = httpx.post(
        f"{admin_url}/query", json={"query": query}, headers={"accept": "application/json"}, timeout=_TIMEOUT_S
    )
    (row,) = answer.raise_for_status().json()["rows"]
    return {"entries": row["n"], "journal_kib": (row["bytes"] or 0) / 1024}


def as_text(found: Mapping[tuple[str, int], Sequence[Figures]]) -> str:
    """A table of the medians."""
    table = [("", "tasks", *HEADS.values()), *_rows(found)]
    widths = [max(len(row[column]) for row in table) for column in range(len(table[0]))]
    return "\n".join(
        "  ".join(
            [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]
        )
        for row in table
    )


def _rows(found: Mapping[tuple[str, int], Sequence[Figures]]) -> Iterator[tuple[str, ...]]:
    for (name, count), rounds in found.items():
        medians = (statistics.median(each[figure] for each in rounds) for figure in HEADS)
        yield name, f"{count:,}", *map(number, medians)


if __name__ == "__main__":
    main()
