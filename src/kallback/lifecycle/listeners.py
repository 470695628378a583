"""Closes what listens without losing a connection that was just accepted.

asyncio accepts a connection in one turn of its loop and makes the transport in the next one. If the server is closed in
between, the connection stays open without an owner; one turn later, its owner hears of it when the others are ended
already.
"""

from __future__ import annotations

import asyncio
from typing import Final

_TURNS: Final = 3
"""From the accept to the first step of a task that serves: transport, protocol, task."""


async def close_listener(server: asyncio.Server) -> None:
    """Stop to listen; when this returns, whoever serves knows all connections that were accepted."""
    loop = asyncio.get_running_loop()
    try:
        for each in server.sockets:
            loop.remove_reader(each.fileno())
    except NotImplementedError:  # loops of Windows have no readers
        server.close()
        return
    for _ in range(_TURNS):
        await asyncio.sleep(0)
    server.close()
