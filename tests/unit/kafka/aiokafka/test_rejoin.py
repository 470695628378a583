"""The replacement of a client that has stopped reading: what a stop and a fetch in its middle meet."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from kallback.kafka.aiokafka import consumer as consumer_module
from kallback.kafka.aiokafka.consumer import AiokafkaConsumer
from kallback.protocol.errors import AccessDeniedError, KafkaUnavailableError
from kallback.settings import KafkaSettings


class Client:
    """A client of aiokafka that hangs where a test says so, once."""

    _coordinator = None

    def __init__(self, *, hangs_in: str = "") -> None:
        self._hangs_in = hangs_in
        self.reached = asyncio.Event()
        self.closed = False

    async def start(self) -> None:
        """Connect."""
        await self._hang("start")

    async def stop(self) -> None:
        """Close."""
        await self._hang("stop")
        self.closed = True

    async def _hang(self, call: str) -> None:
        if call == self._hangs_in:
            self._hangs_in = ""
            self.reached.set()
            await asyncio.Event().wait()


def replaced(monkeypatch: pytest.MonkeyPatch, old: Client, new: Client) -> Any:
    """Make a consumer that has one client and gets another one."""

    async def new_member(*_: Any) -> Client:
        return new

    monkeypatch.setattr(consumer_module, "new_member", new_member)
    consumer: Any = AiokafkaConsumer(KafkaSettings("127.0.0.1:1"), ["tasks"], "workers")
    consumer._inner = old
    return consumer


@pytest.mark.parametrize(("old_hangs", "new_hangs"), [("stop", ""), ("", "start")])
async def test_no_client_is_left_open(monkeypatch: pytest.MonkeyPatch, old_hangs: str, new_hangs: str) -> None:
    """Whichever part of the replacement is cancelled."""
    old, new = Client(hangs_in=old_hangs), Client(hangs_in=new_hangs)
    consumer = replaced(monkeypatch, old, new)
    consumer._supervisor.run_once("timer", consumer.join_anew())
    async with asyncio.timeout(20):
        await (old if old_hangs else new).reached.wait()
        await consumer.stop()
    assert old.closed
    assert new.closed is bool(new_hangs)
    assert not consumer._retiring


async def test_a_fetch_in_the_middle_waits_for_the_new_client(monkeypatch: pytest.MonkeyPatch) -> None:
    """Until then it returns nothing; that is no failure."""
    old, new = Client(hangs_in="stop"), Client()
    consumer = replaced(monkeypatch, old, new)
    consumer._supervisor.run_once("timer", consumer.join_anew())
    async with asyncio.timeout(20):
        await old.reached.wait()
        assert await consumer.fetch(1, 0.01) == []
        await consumer.stop()


async def test_a_replacement_that_fails_is_the_failure_of_the_next_fetch(monkeypatch: pytest.MonkeyPatch) -> None:
    """It says why; the owner of the consumer starts a new one."""

    async def new_member(*_: Any) -> Client:
        raise AccessDeniedError("the group is not for you")

    consumer = replaced(monkeypatch, Client(), Client())
    monkeypatch.setattr(consumer_module, "new_member", new_member)
    await consumer.join_anew()
    with pytest.raises(AccessDeniedError, match="not for you"):
        await consumer.fetch(1, 0.01)
    with pytest.raises(KafkaUnavailableError, match="not running"):
        await consumer.fetch(1, 0.01)
    await consumer.stop()
