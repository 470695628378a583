"""What is kept of the topics that pages are read from."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

from tests.unit.cli.dead_letters.environment import DEAD, DeadLetterEnv

from kallback.cli.console.sources import KEPT_VALUE_BYTES, LAST_LETTERS, last_letters
from kallback.cli.dead_letters.contents import Replay
from kallback.kafka import DeadLetterId, Record
from kallback.kafka.dead_letters.reader import replay_marker
from kallback.protocol.by_hand import Operator


async def batches(env: DeadLetterEnv, size: int = 50) -> AsyncGenerator[list[Record]]:
    """The topic of dead letters, as a client reads it; each is a millisecond younger than the one before."""
    records = [
        Record(each.topic, each.partition, each.offset, at_ms, each.key, each.value, each.headers)
        for at_ms, each in enumerate(env.broker.records(DEAD))
    ]
    for begin in range(0, len(records), size):
        yield records[begin : begin + size]


def test_the_last_dead_letters_are_kept() -> None:
    """The newest first, however many are read."""
    env = DeadLetterEnv()
    for _ in range(LAST_LETTERS + 60):
        env.dead_letter()

    kept = asyncio.run(last_letters(batches(env)))

    assert [letter.written_ms for letter in kept.letters] == list(range(LAST_LETTERS + 59, 59, -1))


def test_large_values_are_not_kept() -> None:
    """No list shows them, and anyone who may write results can fill the topic with them."""
    env = DeadLetterEnv()
    for length in (KEPT_VALUE_BYTES, KEPT_VALUE_BYTES + 1):
        env.dead_letter(value=b"x" * length)

    assert sorted(len(letter.value or b"") for letter in asyncio.run(last_letters(batches(env))).letters) == [
        0,
        KEPT_VALUE_BYTES,
    ]


def test_replays_of_the_last_dead_letters_are_known() -> None:
    """From their markers, wherever these lie; what is not listed takes no memory."""
    env = DeadLetterEnv()
    env.dead_letter()
    for letters in ([DeadLetterId(0, 0), DeadLetterId(7, 5)], [DeadLetterId(1, number) for number in range(60_000)]):
        env.broker.append(replay_marker(DEAD, letters, 99, Operator("ann")))

    assert asyncio.run(last_letters(batches(env))).replays == {DeadLetterId(0, 0): Replay(99, Operator("ann"))}
