"""Keeps Kafka's acknowledgement of a task back from the journal for a moment: the result may come first.

The end of a publishing step is an entry of its own in Restate's journal, of which the service is told again. A handler
that has its result and returns needs neither: for a fast worker that is a good part of what a call costs. So a step for
a task whose result the handler waits for anyway does not end with the acknowledgement, but a little later. If the
handler has returned by then, the step never ends, as Restate allows for a step that nothing waits for.

Until then a replay publishes the task again, byte by byte the same: at least once, as ever. So the moment is short, and
over at once when the process is asked to end or Restate asks the handler to suspend.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import Final

from restate import Context
from restate.server_context import ServerInvocationContext
from restate.server_types import ReceiveChannel

LONGEST_S: Final = 0.2
_PART: Final = 0.1
"""Of the time that is left to a task: at its deadline the journal knows that it was sent."""


def holding_time(seconds_left: float | None) -> float:
    """How long an acknowledgement is kept back, in seconds.

    Args:
        seconds_left: until the attempt's deadline; None without one.
    """
    return LONGEST_S if seconds_left is None else max(0.0, min(LONGEST_S, seconds_left * _PART))


async def hold_acknowledgement(ctx: Context, seconds: float) -> None:
    """Wait so long, or until Restate sends nothing more; not at all without a connection to Restate."""
    channel = ctx.receive if isinstance(ctx, ServerInvocationContext) else None
    if not isinstance(channel, ReceiveChannel):
        return
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await channel.block_until_http_input_closed()
