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


class EndsItsFetches:
    """A consumer whose close cancels a task of its own and awaits it, as aiokafka's `Fetcher.close` does."""

    def __init__(self) -> None:
        self.closed = False
        self._client = self

    async def stop(self) -> None:
        """Raise the cancellation of the other task."""
        fetch = asyncio.create_task(asyncio.sleep(60))
        await asyncio.sleep(0)
        fetch.cancel()
        await fetch

    async def close(self) -> None:
        """Close the connections."""
        self.closed = True


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


async def test_fetch_tasks_that_end_do_not_cancel_who_closes(caplog: pytest.LogCaptureFixture) -> None:
    """A connection that broke right before lets aiokafka raise a cancellation of its own."""
    client = EndsItsFetches()
    await close(client)
    assert (client.closed, caplog.text) == (True, "")


async def test_a_task_that_was_cancelled_before_closes_all_the_same() -> None:
    """What ends a process is often a cancellation, and clients are closed after it."""
    client, begun = EndsItsFetches(), asyncio.Event()

    async def owner() -> None:
        try:
            begun.set()
            await asyncio.sleep(60)
        finally:
            await close(client)

    task = asyncio.create_task(owner())
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert client.closed


async def test_a_cancelled_close_is_cancelled() -> None:
    """The owner's own bound still works."""
    task = asyncio.create_task(close(Frozen()))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
