"""The end of a reader whose calls into librdkafka do not return."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any

import pytest

from kallback.kafka import Record
from kallback.kafka.confluent import reader as reader_module
from kallback.kafka.confluent.reader import ConfluentReader
from kallback.settings import KafkaSettings

if TYPE_CHECKING:
    from collections.abc import Iterator


class HangingScan:
    """A topic whose calls return when the test is over."""

    over = threading.Event()
    hangs_in = "close"

    def __init__(self, *_: Any, **__: Any) -> None:
        self.end_offsets: dict[int, int] = {0: 1}
        self.abandoned = False

    def assign_all(self, *_: Any) -> None:
        """Find the partitions."""
        self._hang("assign_all")

    def poll(self) -> list[Record]:
        """Read."""
        self._hang("poll")
        return []

    def close(self) -> None:
        """Close."""
        self._hang("close")

    def abandon(self) -> None:
        """Ask a call that waits to give up."""
        self.abandoned = True

    def _hang(self, call: str) -> None:
        if call == self.hangs_in:
            self.over.wait(30)


@pytest.fixture
def scan(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[HangingScan]]:
    """Readers read from it; their stop has a short bound."""
    monkeypatch.setattr(reader_module, "TopicScan", HangingScan)
    monkeypatch.setattr(reader_module, "_STOP_TIMEOUT_S", 0.05)
    monkeypatch.setattr(HangingScan, "over", threading.Event())
    yield HangingScan
    HangingScan.over.set()


@pytest.mark.parametrize("call", ["poll", "close"])
async def test_a_stop_ends_though_a_call_does_not_return(
    scan: type[HangingScan], call: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The log says so, and the thread that is left behind does not keep the process alive."""
    monkeypatch.setattr(scan, "hangs_in", call)
    reader = ConfluentReader(KafkaSettings("127.0.0.1:1"), "topic")
    await reader.start()
    await reader.fetch(0.01)
    async with asyncio.timeout(20):
        await reader.stop()
        await reader.stop()
    assert "a reader was not closed" in caplog.text
    left = [each for each in threading.enumerate() if each.name == "kallback-reader"]
    assert left
    assert all(each.daemon for each in left)


async def test_a_cancelled_start_asks_what_waits_for_kafka_to_give_up(
    scan: type[HangingScan], monkeypatch: pytest.MonkeyPatch
) -> None:
    """SIGTERM during a start is minded at once, not when the connect timeout is over."""
    monkeypatch.setattr(scan, "hangs_in", "assign_all")
    abandoned: list[bool] = []
    monkeypatch.setattr(scan, "abandon", lambda _: abandoned.append(True))
    reader = ConfluentReader(KafkaSettings("127.0.0.1:1"), "topic")
    starting = asyncio.create_task(reader.start())
    await asyncio.sleep(0)
    starting.cancel()
    async with asyncio.timeout(20):
        with pytest.raises(asyncio.CancelledError):
            await starting
    assert abandoned


async def test_a_fetch_that_was_given_up_does_not_hide_what_it_reads(
    scan: type[HangingScan], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The end was reached while nobody waited: the records are in the next fetch, and what comes later after them."""
    reached, read = threading.Event(), [record_at(0)]

    def poll(source: HangingScan) -> list[Record]:
        reached.wait(30)
        source.end_offsets.clear()
        return [read.pop()] if read else []

    monkeypatch.setattr(scan, "hangs_in", "nothing")
    monkeypatch.setattr(scan, "poll", poll)
    reader = ConfluentReader(KafkaSettings("127.0.0.1:1"), "topic")
    await reader.start()
    assert await reader.fetch(0.01) == []
    given_up = asyncio.create_task(reader.fetch(30))
    await asyncio.sleep(0)
    given_up.cancel()
    await asyncio.wait([given_up])
    source = reader._source
    assert source is not None
    reached.set()
    while source.end_offsets:  # noqa: ASYNC110 - of a thread
        await asyncio.sleep(0.001)
    assert [each.offset for each in await reader.fetch(30)] == [0]
    read.append(record_at(1))
    assert [each.offset for each in await reader.fetch(30)] == [1]
    await reader.stop()


def record_at(offset: int) -> Record:
    """A record."""
    return Record("topic", 0, offset, 0, None, b"", ())
