"""Which connection goes on next: one in each turn of the event loop, in the order in which they asked.

So what much input of some connections costs is spread over many turns, however many connections these are, and others
have theirs in between.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Final


class ConnectionsInTurn:
    """The turns of all connections of one server."""

    def __init__(self) -> None:
        self._waiting: Final = deque[asyncio.Future[None]]()

    async def next(self) -> None:
        """Wait for a turn; cancelling leaves it to the next one."""
        loop = asyncio.get_running_loop()
        turn = loop.create_future()
        if not self._waiting:
            loop.call_soon(self._give)
        self._waiting.append(turn)
        await turn

    def _give(self) -> None:
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                break
        if self._waiting:
            asyncio.get_running_loop().call_soon(self._give)
