"""The screening of fetches: what a response holds is unfolded before aiokafka sees it."""

from __future__ import annotations

import asyncio
import threading
from types import SimpleNamespace
from typing import Any

import pytest

from kallback.kafka.aiokafka.batches import fetch_screen
from kallback.kafka.aiokafka.batches.batch_screen import Screened, ScreenLimits
from kallback.kafka.aiokafka.batches.fetch_screen import FETCH_API_KEY, FetchScreen

LARGE = bytes(100_000)


class Client:
    """A client of aiokafka whose broker answers each fetch with the same bytes."""

    async def send(self, _node: object, _request: object) -> Any:
        """Answer."""
        return SimpleNamespace(API_KEY=FETCH_API_KEY, topics=[("topic", [(0, 0, LARGE)])])


async def test_one_response_of_a_process_is_unfolded_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each takes twice its bytes meanwhile: a worker reads its tasks, the control topic and more."""
    running, most, together = 0, 0, threading.Lock()

    def screened(data: bytes, *_: object, **__: object) -> Screened:
        nonlocal running, most
        with together:
            running += 1
            most = max(most, running)
        threading.Event().wait(0.02)  # long enough for the others to be there, too
        with together:
            running -= 1
        return Screened(data, [])

    monkeypatch.setattr(fetch_screen, "screened", screened)
    inners: list[Any] = [SimpleNamespace(_client=Client(), assignment=set[Any]) for _ in range(4)]
    for inner in inners:
        FetchScreen(inner, ScreenLimits(1), total=1)
    request = SimpleNamespace(topics=[("topic", [(0, 0)])])
    await asyncio.gather(*(inner._client.send(0, request) for inner in inners))
    assert most == 1
