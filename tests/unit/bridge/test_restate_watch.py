"""Restate is checked until its ingress answers."""

from __future__ import annotations

import asyncio
from collections import Counter
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from kallback.bridge import restate_watch
from kallback.bridge.restate_watch import RestateWatch
from kallback.protocol import Outcome

if TYPE_CHECKING:
    from collections.abc import Coroutine


async def test_a_result_that_is_delivered_first_does_not_skip_the_check(monkeypatch: pytest.MonkeyPatch) -> None:
    """The check also finds out whether this Restate is too old."""
    monkeypatch.setattr(restate_watch, "_PAUSE_S", 0)
    answers, tasks = iter([False, True]), list[asyncio.Task[None]]()

    async def check() -> bool:
        return next(answers)

    def run_once(_name: str, work: Coroutine[Any, Any, None]) -> None:
        tasks.append(asyncio.create_task(work))

    stats = SimpleNamespace(restate_unseen=False, outcomes=Counter({Outcome.DELIVERED: 1}))
    context: Any = SimpleNamespace(stats=stats, supervisor=SimpleNamespace(run_once=run_once))
    await RestateWatch(check, context).start()
    assert stats.restate_unseen
    await asyncio.gather(*tasks)
    assert (stats.restate_unseen, list(answers)) == (False, [])
