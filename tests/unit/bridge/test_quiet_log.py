"""Log lines are for rare events: JSON, and never one per record."""

from __future__ import annotations

import itertools
import json
import logging
from collections.abc import Generator
from typing import Any

import pytest

from kallback.bridge import Completion, Reply, Retry
from kallback.cli.logs import configure_logs


@pytest.fixture(autouse=True)
def _logging_as_before() -> Generator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:], root.level = handlers, level


async def lines_of(world: Any, records: list[Any], capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    """What `kallback bridge` writes to a stderr that is no terminal, at its most talkative."""
    configure_logs(verbose=True)
    for record in records:
        world.broker.append(record)
    async with world.bridge():
        await world.settle(len(records))
    return [json.loads(line) for line in capsys.readouterr().err.splitlines()]


async def test_a_thousand_good_records(world: Any, mint: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """A start, an end, nothing in between."""
    lines = await lines_of(world, [mint.completed() for _ in range(1000)], capsys)
    assert [line["event"] for line in lines if line["logger"] == "kallback.bridge"] == [
        "bridge started",
        "bridge stopped",
    ]
    assert len(lines) < 10


async def test_a_thousand_records_of_every_bad_kind(world: Any, mint: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """One line per kind and interval, however many there are."""
    kinds = [
        lambda: mint.completed("kb1:nonsense"),
        lambda: mint.completed(value=b"oops"),
        lambda: mint.completed(mint.sign(mint.token(deadline=-100.0))),
        mint.completed,
    ]
    lines = await lines_of(world, [kinds[number % 4]() for number in range(1000)], capsys)
    letters = [line for line in lines if line["event"] == "a result record is dead-lettered"]
    assert len(letters) == 3
    assert len({line["kind"] for line in letters}) == 3
    assert len(lines) < 12


async def test_a_thousand_retries(world: Any, mint: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """Trouble that goes on is one line, too."""
    accepted, odd, failed = world.reply, itertools.cycle([True, False]), set[str]()

    def reply(it: Completion) -> Reply:
        if it.token in failed or next(odd):
            return accepted(it)
        failed.add(it.token)
        return Retry("503", "busy")

    world.reply = reply
    lines = await lines_of(world, [mint.completed() for _ in range(1000)], capsys)
    assert len([line for line in lines if line["event"].startswith("a completion was not taken")]) == 1
    assert len(lines) < 12
