"""The demo as a newcomer runs it: a process with an exit code, which leaves nothing behind."""

from __future__ import annotations

import importlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest

from kallback.kafka import DeadLetter, DeadLetterId, Headers, Position, Record, ReplayMarker, UnknownEntry
from kallback.kafka.dead_letters.reader import Entry

if TYPE_CHECKING:
    from demo_board import Check
    from demo_invalid_records import ExpectedOutcome
    from demo_record_checks import Expected, Results

pytestmark = pytest.mark.acceptance

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
    deadline = time.monotonic() + 60
    while (left := marked_processes(mark)) and time.monotonic() < deadline:
        time.sleep(0.1)
    return left


def test_the_demo_ends_well_and_leaves_nothing_running(tmp_path: Path) -> None:
    """Every check of the demo's own summary holds, the exit code says so, and every process is gone."""
    mark = uuid4().hex
    with running_demo(mark, tmp_path) as demo:
        output, _ = demo.communicate(timeout=280)
    assert demo.returncode == 0, output
    assert output.count("✓") >= 7, output
    assert "✗" not in output, output
    assert wait_until_gone(mark) == []


def test_ctrl_c_leaves_nothing_running(tmp_path: Path) -> None:
    """An interrupted demo ends soon, and no server keeps running."""
    mark = uuid4().hex
    with running_demo(mark, tmp_path) as demo:
        assert demo.stdout is not None
        seen = list(takewhile(lambda line: "order 03" not in line, demo.stdout))
        assert len(marked_processes(mark)) > 6, "".join(seen)
        demo.send_signal(signal.SIGINT)
        rest, _ = demo.communicate(timeout=60)
    assert demo.returncode == 130, rest
    assert wait_until_gone(mark) == []


def test_the_kitchen_needs_no_restate() -> None:
    """The point of sale can be imported where restate cannot."""
    code = "import sys; sys.modules['restate'] = None; import pos_worker; print(pos_worker.worker)"
    done = subprocess.run([sys.executable, "-c", code], cwd=EXAMPLE, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@dataclass(frozen=True)
class DemoChecks:
    """The demo's checks of its records, imported as the demo imports them.

    Attributes:
        check_outcomes: of `demo_record_checks`.
        check_dead_letters: likewise.
        expected: makes an expected outcome.
    """

    check_outcomes: Callable[[Results, Sequence[Mapping[str, Any]], Expected], Check]
    check_dead_letters: Callable[[Sequence[Entry], Results, Expected], Check]
    expected: type[ExpectedOutcome]


@pytest.fixture
def demo(monkeypatch: pytest.MonkeyPatch) -> DemoChecks:
    """The checks, with the example's folder on the path."""
    monkeypatch.syspath_prepend(str(EXAMPLE))
    module = importlib.import_module("demo_record_checks")
    return DemoChecks(module.check_outcomes, module.check_dead_letters, module.ExpectedOutcome)


def result(offset: int, value: bytes = b"{}", headers: Headers = ()) -> Record:
    """A record of partition 0."""
    return Record("kallback.results", 0, offset, 0, b"k", value, headers)


def outcome(offset: int, kind: str = "delivered") -> dict[str, Any]:
    """An outcome record as the demo reads it."""
    return {"outcome": kind, "source": {"topic": "kallback.results", "partition": 0, "offset": offset}}


@pytest.mark.parametrize(
    ("outcomes", "wrong"),
    [
        ([outcome(0), outcome(1, "duplicate"), outcome(2, "late")], 0),
        ([outcome(0), outcome(0), outcome(1), outcome(2, "late")], 0),
        ([outcome(0), outcome(2, "late")], 1),
        ([outcome(0), outcome(1), outcome(2, "late"), outcome(7)], 1),
        ([outcome(0), outcome(1, "unverified"), outcome(2, "late")], 1),
        ([outcome(0), outcome(1), outcome(2)], 1),
        ([outcome(0), outcome(1), outcome(2, "late"), outcome(2)], 1),
        ([], 3),
    ],
    ids=["one-each", "read-again", "missing", "invented", "unexpected", "other-outcome", "two-outcomes", "none"],
)
def test_the_audit_accounts_for_every_result_record(
    outcomes: list[dict[str, Any]], wrong: int, demo: DemoChecks
) -> None:
    """A record without an outcome, an outcome without a record, and an outcome that should not be are called out."""
    results = {(0, offset): result(offset) for offset in range(3)}
    check = demo.check_outcomes(results, outcomes, {(0, 2): demo.expected("late", "late")})
    assert len(check.wrong) == wrong


def test_the_audit_misses_invalid_records_that_are_not_there(demo: DemoChecks) -> None:
    """A record that was sent and does not lie on the results topic is called out."""
    assert len(demo.check_outcomes({}, [], {(0, 2): demo.expected("late", "late")}).wrong) == 1


RESULTS = {(0, 0): result(0, b"a"), (0, 1): result(1, b"b"), (0, 2): result(2, b"b")}
"""An ordinary result, and one that becomes a dead letter at offset 1 and is replayed at offset 2."""


def letter(offset: int, reason: str = "unknown-key", value: bytes = b"b") -> DeadLetter:
    """The dead letter of a record of partition 0; it lies at the same offset."""
    source = Position("kallback.results", 0, offset)
    return DeadLetter(DeadLetterId(0, offset), reason, "", 0, 0, source, 0, "bridge", b"k", value, ())


NOTE = ReplayMarker(frozenset({DeadLetterId(0, 1)}), 0)


@pytest.mark.parametrize(
    ("entries", "wrong"),
    [
        ([letter(1), NOTE], 0),
        ([letter(1), letter(1), NOTE], 1),
        ([letter(1), NOTE, UnknownEntry(DeadLetterId(0, 9))], 1),
        ([letter(1, "wrong-tag"), NOTE], 2),
        ([letter(1, value=b"c"), NOTE], 2),
        ([letter(1), letter(0, "late", b"a"), NOTE], 1),
        ([letter(1)], 3),
        ([], 1),
    ],
    ids=["as-expected", "twice", "foreign", "other-reason", "altered", "unexpected", "not-replayed", "missing"],
)
def test_the_audit_accounts_for_every_dead_letter(entries: list[Entry], wrong: int, demo: DemoChecks) -> None:
    """Each letter stands once, for its reason, byte for byte, and lies on the results topic again if replayed."""
    expected = {(0, 1): demo.expected("unverified", "unknown-key", replayed=True)}
    assert len(demo.check_dead_letters(entries, RESULTS, expected).wrong) == wrong
