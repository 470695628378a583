"""Closing a client of aiokafka always ends: a frozen broker or a failing client holds up nothing."""

import asyncio

import pytest

from kallback.kafka.aiokafka.client import close


class Frozen:
    """A client whose broker does not answer any more."""

    def __init__(self) -> None:
        self.asked = False

    async def stop(self) -> None:
        """Wait for ever."""
        self.asked = True
        await asyncio.Event().wait()


class Broken:
    """A client whose close fails."""

    async def stop(self) -> None:
        """Raise what is no error of Kafka."""
        raise AttributeError("no coordinator")


async def test_a_client_that_does_not_end_is_left_behind(caplog: pytest.LogCaptureFixture) -> None:
    """The bound ends the wait, and the log names the client."""
    client = Frozen()
    await close(client, seconds=0.01)
    assert client.asked
    assert "client='Frozen'" in caplog.text


async def test_a_client_that_fails_is_left_behind(caplog: pytest.LogCaptureFixture) -> None:
    """Other clients are closed all the same."""
    await close(Broken())
    assert "no coordinator" in caplog.text


async def test_a_cancelled_close_is_cancelled() -> None:
    """The owner's own bound still works."""
    task = asyncio.create_task(close(Frozen()))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
