"""Fills a Restate with handlers that wait, and measures how long it takes to list their tasks.

python -m benchmarks.pending_tasks
python -m benchmarks.pending_tasks --drain 100000     what browsers that look cost a bridge's drain
python -m benchmarks.pending_tasks --by-hand 1000     how long it takes to fail many of them by hand
"""

from __future__ import annotations

import argparse
import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

import httpx

from benchmarks import comparison, drains, machine
from benchmarks.environment import ROOT, BenchmarkEnvironment, open_environment
from benchmarks.pending_tasks.console import console
from kallback.operations import Introspection, PendingTasks, TaskFilter
from kallback.settings import KeySettings, RestateSettings, Settings, Topics
from kallback.testing import ServiceProcess, TopicFactory, eventually

_TOPICS: Final = Topics(prefix="pending.")
_AT_ONCE: Final = 32
_FILLED_S: Final = 1200.0
_LOOK_S: Final = 15.0
"""Between two looks whether all are there: a look costs Restate seconds."""
_PAGE: Final = 50
"""Tasks on a page of the console."""


def main() -> None:
    """Run."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.pending_tasks", description=__doc__)
    parser.add_argument("--tasks", type=int, default=10_000, help="pending tasks (default 10,000)")
    parser.add_argument("--rounds", type=int, default=7, help="of each measurement (default 7)")
    parser.add_argument("--handlers", default="one,one_watched,many", help="some of one, one_watched, many, asked")
    parser.add_argument("--browsers", type=int, default=50, help="that look at the console's overview (default 50)")
    parser.add_argument(
        "--drain",
        type=int,
        metavar="RESULTS",
        help="then have a bridge drain so many results, with and without browsers, in as many alternating rounds",
    )
    parser.add_argument("--by-hand", type=int, metavar="TASKS", help="then fail so many by hand, with the command")
    parser.add_argument("--hold", action="store_true", help="then wait for Ctrl-C, and say how to look at the tasks")
    options = parser.parse_args()
    for handler in options.handlers.split(","):
        with open_environment() as environment:
            print(f"{machine.describe(environment.stack)}, load average {machine.load_average()}", flush=True)
            _measure(environment, handler, options)


def _measure(environment: BenchmarkEnvironment, handler: str, options: argparse.Namespace) -> None:
    TopicFactory(environment.stack.kafka).make([*_TOPICS.all(), "pending.plain", "pending.watched"])
    variables = environment.variables(_TOPICS)
    service = ServiceProcess("benchmarks.pending_tasks.service:app", environment.stack.restate, env=variables, cwd=ROOT)
    try:
        service.start()
        settings = Settings(
            restate=RestateSettings(environment.stack.ingress_url, environment.stack.admin_url),
            topics=_TOPICS,
            keys=KeySettings(keyring=environment.keyring, audience=variables["KALLBACK_AUDIENCE"]),
        )
        asyncio.run(_fill_and_list(settings, handler, options.tasks, options.rounds))
        with console(variables, environment.log("console")) as process:
            asyncio.run(process.look(options.browsers))
            print(f"  {options.browsers} browsers on the overview: {process.figures()}", flush=True)
        if options.drain is not None:
            _drain(environment, variables, options)
        if options.by_hand is not None:
            _fail_by_hand(variables, options.by_hand)
        if options.hold:
            print("\n".join(f"export {name}={value}" for name, value in variables.items()), flush=True)
            while True:
                time.sleep(60)
    except KeyboardInterrupt:
        pass
    finally:
        service.close()


def _drain(environment: BenchmarkEnvironment, variables: Mapping[str, str], options: argparse.Namespace) -> None:
    """Compare drains with browsers on the overview, whose console has read it before, with drains without any."""

    def drain(mode: str, name: str) -> drains.Drain:
        if name == comparison.OTHER:
            return drains.bridge(environment, mode, options.drain)
        with console(variables, environment.log("console")) as process:
            asyncio.run(process.warm())
            with process.looking(options.browsers):
                watched = drains.bridge(environment, mode, options.drain)
        print("  cores used: console {:.3f}, all browsers {:.3f}".format(*process.cores), flush=True)
        return watched

    found = comparison.alternate(drain, rounds=options.rounds)
    what = f"with {options.browsers} browsers on the overview / without"
    print(f"load average {machine.load_average()}\n{comparison.as_text(found, what)}", flush=True)


def _fail_by_hand(variables: Mapping[str, str], tasks: int) -> None:
    """Fail the oldest tasks with `kallback tasks fail --all`, and say how long it took, the listing included."""
    command = [sys.executable, "-m", "kallback.cli", "tasks", "fail", "--all", "--yes", "--limit", str(tasks)]
    began = time.monotonic()
    done = subprocess.run(command, env=os.environ | dict(variables), capture_output=True, text=True, check=False)
    print(f"  by hand: {time.monotonic() - began:.1f} s, {done.stderr.splitlines()[-1]}", flush=True)


async def _fill_and_list(settings: Settings, handler: str, tasks: int, rounds: int) -> None:
    async with Introspection(settings.restate) as introspection:

        def new() -> PendingTasks:  # knows no journals
            return PendingTasks(introspection, settings)

        pending = new()
        began = time.monotonic()
        await _fill(settings.restate.ingress_url, handler, tasks)
        await eventually(f"{tasks} tasks", lambda: _has(pending, tasks), timeout=_FILLED_S, interval=_LOOK_S)
        print(f"{handler}: {tasks:,} tasks after {time.monotonic() - began:.0f} s", flush=True)
        await _timed("first page of 50", rounds, lambda: new().page(limit=_PAGE))
        await _timed("all tasks", rounds, lambda: _all(new()))
        await _timed("all tasks, read before", rounds, lambda: _all(pending))
        await _timed("an id that no handler waits for", rounds, lambda: new().find("AAAAAAAAAAAAAAAA"))


async def _fill(ingress_url: str, handler: str, tasks: int) -> None:
    """Start the handlers: one for each task, or one for each hundred."""
    bodies = [100] * (tasks // 100) if handler == "many" else list(range(tasks))
    left = iter(bodies)
    async with httpx.AsyncClient(base_url=ingress_url, timeout=60) as http:

        async def send() -> None:
            for body in left:
                (await http.post(f"/Pending/{handler}/send", json=body)).raise_for_status()

        await asyncio.gather(*(send() for _ in range(_AT_ONCE)))


async def _has(pending: PendingTasks, tasks: int) -> bool:
    return await _all(pending) >= tasks


async def _all(pending: PendingTasks) -> int:
    return sum([len(page.tasks) async for page in pending.each(TaskFilter())])


async def _timed(what: str, rounds: int, read: Callable[[], Awaitable[object]]) -> None:
    seconds: list[float] = []
    for _ in range(rounds):
        began = time.perf_counter()
        await read()
        seconds.append(time.perf_counter() - began)
    seconds.sort()
    middle = seconds[len(seconds) // 2]
    print(f"  {what}: median {middle:.3f} s, {seconds[0]:.3f} to {seconds[-1]:.3f} s, {rounds} rounds", flush=True)


if __name__ == "__main__":
    main()
