"""The demo as a newcomer runs it: a process with an exit code, which leaves nothing behind."""

from __future__ import annotations

import importlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import takewhile
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(240)]

EXAMPLE = Path(__file__).parents[2] / "examples" / "food_ordering"
MARK = "DEMO_TEST_MARK"


@contextmanager
def running_demo(mark: str, directory: Path) -> Iterator[subprocess.Popen[str]]:
    """Start it as `make demo` does, with a mark that its processes inherit."""
    with subprocess.Popen(
        [sys.executable, str(EXAMPLE / "demo.py")],
        env={**os.environ, MARK: mark, "PYTHONUNBUFFERED": "1", "TMPDIR": str(directory)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as demo:
        try:
            yield demo
        finally:
            demo.kill()


def marked_processes(mark: str) -> list[str]:
    """The command lines of all processes that inherited the mark."""
    found: list[str] = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if f"={mark}".encode() in (entry / "environ").read_bytes():
                found.append((entry / "cmdline").read_text().replace("\0", " "))
        except OSError:  # it ended meanwhile, or belongs to somebody else
            continue
    return found


def wait_until_gone(mark: str) -> list[str]:
    """Wait for the marked processes to end; return what is still there."""
    deadline = time.monotonic() + 10
    while (left := marked_processes(mark)) and time.monotonic() < deadline:
        time.sleep(0.1)
    return left


def test_the_demo_ends_well_and_leaves_nothing_running(tmp_path: Path) -> None:
    """Every check of the demo's own summary holds, the exit code says so, and every process is gone."""
    mark = uuid4().hex
    with running_demo(mark, tmp_path) as demo:
        output, _ = demo.communicate(timeout=200)
    assert demo.returncode == 0, output
    assert output.count("✓") >= 6, output
    assert "✗" not in output, output
    assert wait_until_gone(mark) == []


def test_ctrl_c_leaves_nothing_running(tmp_path: Path) -> None:
    """Whoever interrupts the demo in the middle gets the prompt back soon, and no server stays behind."""
    mark = uuid4().hex
    with running_demo(mark, tmp_path) as demo:
        assert demo.stdout is not None
        seen = list(takewhile(lambda line: "order 03" not in line, demo.stdout))
        assert len(marked_processes(mark)) > 6, "".join(seen)
        demo.send_signal(signal.SIGINT)
        rest, _ = demo.communicate(timeout=30)
    assert demo.returncode == 130, rest
    assert wait_until_gone(mark) == []


def test_the_kitchen_needs_no_restate() -> None:
    """The point of sale can be imported where restate cannot."""
    code = "import sys; sys.modules['restate'] = None; import pos_worker; print(pos_worker.worker)"
    done = subprocess.run([sys.executable, "-c", code], cwd=EXAMPLE, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def outcome(partition: int, offset: int, kind: str = "delivered") -> dict[str, Any]:
    """An outcome record as the demo reads it."""
    return {"outcome": kind, "source": {"topic": "kallback.results", "partition": partition, "offset": offset}}


@pytest.mark.parametrize(
    ("outcomes", "wrong"),
    [
        ([outcome(0, 0), outcome(0, 1, "duplicate")], 0),
        ([outcome(0, 0), outcome(0, 0), outcome(0, 1)], 0),
        ([outcome(0, 0)], 1),
        ([outcome(0, 0), outcome(0, 1), outcome(3, 7)], 1),
        ([outcome(0, 0), outcome(0, 1, "unverified")], 1),
        ([], 2),
    ],
    ids=["one-each", "read-again", "missing", "invented", "unexpected", "none"],
)
def test_the_audit_accounts_for_every_result_record(
    outcomes: list[dict[str, Any]], wrong: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A result record without an outcome, an outcome without a record, and a bad outcome are each called out."""
    monkeypatch.syspath_prepend(str(EXAMPLE))
    check = importlib.import_module("demo_audit").account({(0, 0), (0, 1)}, outcomes)
    assert len(check.wrong) == wrong
