"""`python -m chaos`: plays a seed, prints what happened, answers 1 if anything is off."""

from __future__ import annotations

import argparse
import logging
import secrets
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

from chaos.checks import check_all, doubled, lost
from chaos.evidence import Check
from chaos.plan import Plan, make_plan
from chaos.run import RunReport, perform

EXIT_WRONG: Final = 1
EXIT_INTERRUPTED: Final = 130
_SHOWN: Final = 20


class _Timestamps:
    """Prints lines with the time since the curtain rose."""

    def __init__(self) -> None:
        self._began = time.monotonic()

    def __call__(self, sentence: str) -> None:
        print(f"{time.monotonic() - self._began:7.1f} s  {sentence}", flush=True)


def main() -> int:
    """Plan, perform, judge, report."""
    logging.getLogger("kallback").setLevel(logging.ERROR)  # our own clients complain of every outage
    plan = _plan()
    _introduce(plan)
    directory = Path(tempfile.mkdtemp(prefix="kallback-chaos-"))
    kept = False
    try:
        report = perform(plan, directory, _Timestamps())
        checks = check_all(plan, report.evidence)
        kept = any(check.wrong for check in checks)
        _report(plan, report, checks)
    except KeyboardInterrupt:
        print("\nstopped; nothing is left running")
        return EXIT_INTERRUPTED
    except Exception:
        kept = True
        raise
    finally:
        if kept:
            print(f"\nlogs:   {directory}\nreplay: {plan.command}", flush=True)
        else:
            shutil.rmtree(directory, ignore_errors=True)
    return EXIT_WRONG if kept else 0


def _plan() -> Plan:
    parser = argparse.ArgumentParser(
        prog="python -m chaos", description="Tasks at a steady rate while everything dies."
    )
    parser.add_argument("--seed", type=int, help="replays a run; by default a new one each time")
    parser.add_argument("--seconds", type=float, default=180, help="how long tasks are placed (default 180)")
    parser.add_argument("--tasks-per-second", type=float, default=20, help="default 20")
    asked = parser.parse_args()
    seed = secrets.randbelow(100_000) if asked.seed is None else asked.seed
    return make_plan(seed, seconds=asked.seconds, rate=asked.tasks_per_second)


def _introduce(plan: Plan) -> None:
    members = "named" if plan.named else "not named"
    print(
        f"seed {plan.seed}: {len(plan.jobs)} tasks in {plan.seconds:g} s, {len(plan.faults)} faults; "
        f"completer {plan.completer}, bridges {members}"
    )
    for line in sorted(map(str, [*plan.faults, plan.backlog])):
        print(f"  {line}")
    print(f"replay: {plan.command}\n", flush=True)


def _report(plan: Plan, report: RunReport, checks: list[Check]) -> None:
    seen = report.evidence
    print()
    for check in checks:
        print(f"{'WRONG' if check.wrong else 'ok   '}  {check.sentence}")
        for wrong in check.wrong[:_SHOWN]:
            print(f"         {wrong}")
        if len(check.wrong) > _SHOWN:
            print(f"         ... and {len(check.wrong) - _SHOWN} more")
    twice = sum(times > 1 for times in seen.runs.values())
    print(f"\nfaults: {', '.join(f'{count} x {label}' for label, count in sorted(report.faults.items()))}")
    for crash in seen.crashes:
        print(f"ended by itself: {crash.name}, exit code {crash.exit_code}: {crash.last_words.splitlines()[-1][:200]}")
    attempts = ", ".join(f"{count} x {number}" for number, count in sorted(seen.attempts.items()) if number > 1)
    print(
        f"tasks {len(plan.jobs)}, work that ran more than once {twice}; attempts beyond the first: {attempts or 'none'}"
    )
    print(f"lost {len(lost(plan, seen))}, double {len(doubled(seen))}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
