"""`python -m attacks`: runs attacks one after the other, prints the table, answers 1 if a bound does not hold."""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import shutil
import signal
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Final

from attacks.attack import Attack
from attacks.report import AttackResult, as_text
from attacks.run import perform
from attacks.table import ATTACKS, UnknownAttackError, choose
from attacks.verdicts import not_measured
from kallback.bridge import Client
from kallback.testing import KafkaOptions, Stack, start_stack

_LONGEST_S: Final = 600.0
"""Of one attack: all waits have bounds of their own, and this one is for those that were forgotten."""
EXIT_WRONG: Final = 1
EXIT_INTERRUPTED: Final = 130


def main() -> int:
    """Run."""
    logging.getLogger("kallback").setLevel(logging.ERROR)
    options = _options()
    if options.list:
        print("\n".join(f"{attack.name}: {attack.does}" for attack in ATTACKS))
        return 0
    try:
        chosen = choose(options.names, short=options.short)
    except UnknownAttackError as error:
        sys.exit(str(error))
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # programs and control groups are removed then, too
    directory = Path(tempfile.mkdtemp(prefix="kallback-attacks-"))
    kept = True
    try:
        if options.bridge_client is not None:
            chosen = tuple(replace(attack, bridge_client=options.bridge_client) for attack in chosen)
        results = _run_all(chosen, directory, options.limit)
        kept = any(result.violations for result in results)
    except KeyboardInterrupt:
        print("\nstopped; nothing is left running")
        return EXIT_INTERRUPTED
    finally:
        if kept:
            print(f"\nlogs: {directory}", flush=True)
        else:
            shutil.rmtree(directory, ignore_errors=True)
    return EXIT_WRONG if kept else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m attacks", description=__doc__)
    parser.add_argument("names", nargs="*", help="attacks to run; by default all")
    parser.add_argument("--short", action="store_true", help="run a few attacks, for about 90 s")
    parser.add_argument("--limit", type=int, metavar="MIB", help="memory of bridge and of worker; needs root")
    parser.add_argument("--bridge-client", choices=list(Client), help="Kafka client of every bridge")
    parser.add_argument("--list", action="store_true", help="name the attacks")
    return parser.parse_args()


def _run_all(attacks: tuple[Attack, ...], directory: Path, limit_mib: int | None) -> list[AttackResult]:
    """Run them on one Kafka and one Restate, then print the table."""
    began = time.monotonic()
    own = {name: value for name, value in os.environ.items() if not name.startswith("KALLBACK_TEST_")}
    results: list[AttackResult] = []
    with start_stack(KafkaOptions(embedded=False), environ=own) as stack:
        for attack in attacks:
            print(f"{time.monotonic() - began:6.0f} s  {attack.name}: {attack.does}", flush=True)
            result = _run(attack, stack, directory / attack.name, limit_mib)
            results.append(result)
            print("\n".join(f"          {line}" for line in as_text([result]).splitlines()[1:] if line), flush=True)
    print(f"\n{as_text(results)}\n\n{len(results)} attacks in {time.monotonic() - began:.0f} s", flush=True)
    return results


def _run(attack: Attack, stack: Stack, directory: Path, limit_mib: int | None) -> AttackResult:
    """Run one; where that fails, its sentence is the verdict."""
    directory.mkdir()
    try:
        return asyncio.run(_bounded(attack, stack, directory, limit_mib))
    except Exception as error:  # noqa: BLE001 - the other attacks are still to come
        return AttackResult(attack.name, attack.bounds, not_measured(f"{type(error).__name__}: {error}"))


async def _bounded(attack: Attack, stack: Stack, directory: Path, limit_mib: int | None) -> AttackResult:
    async with asyncio.timeout(_LONGEST_S):
        return await perform(attack, stack, directory, limit_mib)


if __name__ == "__main__":
    sys.exit(main())
