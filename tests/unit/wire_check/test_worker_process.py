"""The process of a worker that the check starts, stops and kills."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

import pytest

from kallback.kafka import Position, TopicGroup, TopicPartition
from kallback.protocol import ConfigurationError
from kallback.testing import eventually
from kallback.wire_check import CheckedProcess
from kallback.wire_check.silence import why_silent

PREPARE = TopicPartition("prepare", 1)
STUBBORN = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('ready', flush=True); signal.pause()"
POLITE = "import signal; print('ready', flush=True); signal.pause()"


async def started(code: str, log: Path) -> CheckedProcess:
    """A program that has begun."""
    process = CheckedProcess(f"{sys.executable} -c {shlex.quote(code)}", log)
    await process.start()
    await eventually("the program", lambda: b"ready" in log.read_bytes())
    return process


async def test_a_worker_that_ends_after_sigterm_is_not_killed(tmp_path: Path) -> None:
    """It was asked to end: that is no finding."""
    process = await started(POLITE, tmp_path / "log")
    assert await process.stop(60)
    assert process.ended == ""


async def test_a_worker_that_ignores_sigterm_is_killed(tmp_path: Path) -> None:
    """After the timeout."""
    process = await started(STUBBORN, tmp_path / "log")
    assert not await process.stop(0.1)


async def test_a_worker_that_ends_by_itself_is_quoted(tmp_path: Path) -> None:
    """The report has its exit code and its last lines."""
    process = await started("print('ready'); raise SystemExit('no broker')", tmp_path / "log")
    await eventually("its end", lambda: process.ended)
    assert "exit code 1: ready / no broker" in process.ended
    await process.kill()


@pytest.mark.parametrize("command", ["", "'unbalanced", "/no/such/program"])
async def test_a_command_that_is_none_is_one_sentence(command: str, tmp_path: Path) -> None:
    """A setting must change."""
    with pytest.raises(ConfigurationError, match="the worker's command"):
        await CheckedProcess(command, tmp_path / "log").start()


AT = Position("prepare", 1, 7)


@pytest.mark.parametrize(
    ("groups", "ended", "said"),
    [
        (None, "", "not known"),
        ([], "", "no consumer group reads prepare"),
        ([TopicGroup("g", 0, 3)], "", "no consumer group reads prepare"),
        ([TopicGroup("g", 1, 0, {PREPARE: 8})], "", "is done with the record"),
        ([TopicGroup("g", 1, 0, {PREPARE: 8})], "", "does it allow the reply topic answers"),
        ([TopicGroup("g", 1, 0, {PREPARE: 7})], "", "has not committed the record at prepare[1]@7"),
        ([TopicGroup("g", 2, 0, {})], "", "group g (2 members)"),
        ([], "its process ended", "its process ended"),
    ],
)
def test_why_a_worker_is_silent(groups: list[TopicGroup] | None, ended: str, said: str) -> None:
    """What its consumer group has committed tells a worker that skips from one that hangs."""
    assert said in why_silent(groups, AT, "answers", ended)
