from typing import Any

import pytest

from kallback.bridge.progress.monitor_client import SendResult
from kallback.bridge.stats import ProgressOutcome
from kallback.kafka import OutgoingRecord
from kallback.protocol import Signal, progress_headers
from kallback.testing.polling import eventually

from .conftest import NOW, Mint

NOW_MS = int(NOW * 1000)


def _heartbeat(mint: Mint, text: str | None = None, value: bytes = b"", every_ms: int | None = 1000) -> OutgoingRecord:
    headers = progress_headers(text or mint.sign(), Signal.HEARTBEAT, NOW_MS, every_ms)
    return OutgoingRecord("kallback.progress", value, b"key", headers)


async def test_a_heartbeat_is_told_and_done(world: Any, mint: Mint) -> None:
    """From the progress topic to the task's monitor; then its offset need not come again."""
    async with world.bridge() as bridge:
        world.broker.append(_heartbeat(mint, value=b"7"))
        await eventually("the heartbeat", lambda: world.monitor_client.told, timeout=5, interval=0.002)
        await eventually(
            "its outcome", lambda: bridge.stats.progress[ProgressOutcome.FORWARDED] == 1, timeout=5, interval=0.002
        )
    assert world.monitor_client.told[0].report.details == b"7"
    assert world.broker.committed("kallback.results.bridge.progress", "kallback.progress") == {0: 1}


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [(SendResult.MISSING, ProgressOutcome.UNWATCHED), (SendResult.REFUSED, ProgressOutcome.REFUSED)],
)
async def test_what_nobody_wants_is_dropped(
    world: Any, mint: Mint, answer: SendResult, outcome: ProgressOutcome
) -> None:
    """Progress is best effort: it never stops its partition."""
    world.monitor_client.answer = answer
    async with world.bridge() as bridge:
        world.broker.append(_heartbeat(mint))
        await eventually(f"{outcome}", lambda: bridge.stats.progress[outcome] == 1, timeout=5, interval=0.002)


async def test_it_is_told_again_until_restate_has_it(world: Any, mint: Mint) -> None:
    """Restate is away for a while: the heartbeat is not done, and arrives later."""
    world.monitor_client.answer = SendResult.FAILED
    async with world.bridge() as bridge:
        world.broker.append(_heartbeat(mint))
        await eventually("the first try", lambda: world.monitor_client.told, timeout=5, interval=0.002)
        assert bridge.stats.progress.total() == 0
        world.monitor_client.answer = SendResult.TAKEN
        world.monotonic += 10
        await eventually(
            "the second", lambda: bridge.stats.progress[ProgressOutcome.FORWARDED], timeout=5, interval=0.002
        )


async def test_forged_progress_is_dropped(world: Any, mint: Mint) -> None:
    """No monitor hears of it."""
    async with world.bridge() as bridge:
        world.broker.append(_heartbeat(mint, "kb1:nonsense"))
        await eventually(
            "its outcome", lambda: bridge.stats.progress[ProgressOutcome.UNVERIFIED], timeout=5, interval=0.002
        )
    assert world.monitor_client.told == []
