"""Runs the food-ordering application: places orders, breaks things on purpose, and checks that all ends well.

Start it with `make demo`. It needs no servers: it starts a Kafka and a Restate and stops them.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import httpx
import msgspec
from demo_audit import audit
from demo_board import Board, Check
from demo_processes import HERE, running_processes
from demo_scenes import Scenes, expected_ends
from tasks import Order

from kallback.protocol import KallbackError
from kallback.testing import KafkaOptions, Stack, start_stack

TIME_LIMIT = 240  # seconds from the stack being up
EXIT_WRONG = 1
EXIT_INTERRUPTED = 130


async def perform(stack: Stack, board: Board, logs: Path, *, stay: bool) -> list[Check]:
    """Scenes the demo on a running stack; return what the audit found."""
    orders = msgspec.json.decode((HERE / "orders.json").read_bytes(), type=list[Order])
    async with running_processes(stack, logs) as processes:
        board.say("topics are created; Restate services, bridge, kitchen, bakers, drivers and console run")
        board.say(f"the console is on {processes.console_url} while the demo runs", "bold")
        async with asyncio.timeout(TIME_LIMIT - board.seconds):
            scenes = Scenes(processes, board, orders)
            found = await scenes.run()
            checks = found + await audit(processes, orders, expected_ends(orders), scenes.expected, scenes.stopped)
        board.report(checks)
        if stay:
            for process in scenes.stopped:
                process.start()
            board.say(
                f"everything keeps running until Ctrl-C; the console is on {processes.console_url}, "
                f"Restate's own view on {stack.admin_url}/ui"
            )
            await asyncio.Event().wait()
    return checks


def main() -> int:
    """Scenes, report, and answer 1 if anything is off."""
    parser = argparse.ArgumentParser(description="Orders food through Restate and Kafka, and breaks things on purpose.")
    parser.add_argument("--stay", action="store_true", help="keep everything running at the end, to look around")
    stay = parser.parse_args().stay
    logs = Path(tempfile.mkdtemp(prefix="kallback-demo-"))
    own = {name: value for name, value in os.environ.items() if not name.startswith("KALLBACK_TEST_")}
    checks: Sequence[Check] = ()
    with Board() as board:
        try:
            board.scene("kallback: a food ordering application", "Starting a Kafka and a Restate for this run ...")
            with start_stack(KafkaOptions(embedded=False), environ=own) as stack:
                board.restart_clock()
                board.say(f"Kafka on {stack.bootstrap_servers}, Restate on {stack.ingress_url}")
                checks = asyncio.run(perform(stack, board, logs, stay=stay))
        except KeyboardInterrupt:
            board.say("stopped; nothing is left running")
            return EXIT_INTERRUPTED
        except (KallbackError, TimeoutError, httpx.HTTPError) as error:
            board.say(f"the demo could not go on: {str(error) or 'not done in time'}", "bold red")
        board.lines(
            "Next",
            f"logs of all processes      {logs}",
            f"the code, in this order    tasks.py, pos_worker.py, orders.py in {os.path.relpath(HERE)}",
            f"run it and look around     {os.path.relpath(sys.executable)} {os.path.relpath(__file__)} --stay",
        )
    return EXIT_WRONG if not checks or any(check.wrong for check in checks) else 0


if __name__ == "__main__":
    sys.exit(main())
