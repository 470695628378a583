"""Log lines are for rare events: JSON, and never one per record."""

from __future__ import annotations

import itertools
import json
import logging
from collections.abc import Callable, Generator
from typing import Any

import pytest
from tests.unit.bridge.environment import BridgeEnv
from tests.unit.bridge.factories import RecordFactory

from kallback.bridge import Completion, Reply, Retry
from kallback.cli.logs import configure_logs
from kallback.kafka import OutgoingRecord


@pytest.fixture(autouse=True)
def _logging_as_before() -> Generator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:], root.level = handlers, level


async def lines_of(env: BridgeEnv, records: list[Any], capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    """What `kallback bridge` writes to a stderr that is no terminal, at its most talkative."""
    configure_logs(verbose=True)
    for record in records:
        env.broker.append(record)
    async with env.bridge():
        await env.settle(len(records))
    return [json.loads(line) for line in capsys.readouterr().err.splitlines()]


async def test_a_thousand_good_records(env: BridgeEnv, make: RecordFactory, capsys: pytest.CaptureFixture[str]) -> None:
    """A start, an end, nothing in between."""
    lines = await lines_of(env, [make.completed() for _ in range(1000)], capsys)
    assert [line["event"] for line in lines if line["logger"] == "kallback.bridge"] == [
        "bridge started",
        "bridge stopped",
    ]
    assert len(lines) < 10


async def test_a_thousand_records_of_every_bad_kind(
    env: BridgeEnv, make: RecordFactory, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line per kind and interval, however many there are."""
    kinds: list[Callable[[], OutgoingRecord]] = [
        lambda: make.completed("kb1:nonsense"),
        lambda: make.completed(value=b"oops"),
        lambda: make.completed(make.sign(make.token(deadline=-100.0))),
        make.completed,
    ]
    lines = await lines_of(env, [kinds[number % 4]() for number in range(1000)], capsys)
    letters = [line for line in lines if line["event"] == "result dead-lettered"]
    assert len(letters) == 3
    assert len({line["kind"] for line in letters}) == 3
    assert len(lines) < 12


async def test_a_thousand_retries(env: BridgeEnv, make: RecordFactory, capsys: pytest.CaptureFixture[str]) -> None:
    """Trouble that goes on is one line, too."""
    accepted, odd, failed = env.reply, itertools.cycle([True, False]), set[str]()

    def reply(it: Completion) -> Reply:
        if it.token in failed or next(odd):
            return accepted(it)
        failed.add(it.token)
        return Retry("503", "busy")

    env.reply = reply
    lines = await lines_of(env, [make.completed() for _ in range(1000)], capsys)
    assert len([line for line in lines if line["event"].startswith("a completion was not accepted")]) == 1
    assert len(lines) < 12
