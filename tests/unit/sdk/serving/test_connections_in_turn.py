"""Connections go on one after the other."""

from __future__ import annotations

import asyncio

from kallback.sdk.serving.connections_in_turn import ConnectionsInTurn


async def test_one_goes_on_in_each_turn_of_the_loop() -> None:
    """In the order in which they asked; one that gives up takes no turn."""
    turns, went_on = ConnectionsInTurn(), list[int]()

    async def wait(number: int) -> None:
        await turns.next()
        went_on.append(number)

    tasks = [asyncio.create_task(wait(number)) for number in range(6)]
    await asyncio.sleep(0)
    tasks[3].cancel()
    seen = set[int]()
    while len(went_on) < 5:
        await asyncio.sleep(0)
        seen.add(len(went_on))
    assert (went_on, seen - {0}) == ([0, 1, 2, 4, 5], {1, 2, 3, 4, 5})
