"""For how long an acknowledgement is kept back from the journal."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from restate import Context
from restate.server_context import ServerInvocationContext
from restate.server_types import ReceiveChannel

from kallback.sdk.journal.acknowledgement import LONGEST_S, hold_acknowledgement, holding_time
from kallback.testing import HandlerTest

LONG_S = 3600.0


def connected(*messages: dict[str, Any]) -> tuple[Context, ReceiveChannel]:
    """A handler's context on a connection to Restate, which sends these messages and then nothing."""
    left = list(messages)

    async def receive() -> Any:
        return left.pop(0) if left else await asyncio.Event().wait()

    ctx = ServerInvocationContext.__new__(ServerInvocationContext)
    ctx.receive = channel = ReceiveChannel(receive)
    return ctx, channel


@pytest.mark.parametrize(
    ("seconds_left", "held"), [(None, LONGEST_S), (3600.0, LONGEST_S), (0.5, 0.05), (0.0, 0.0), (-1.0, 0.0)]
)
def test_a_deadline_comes_after_the_acknowledgement(seconds_left: float | None, held: float) -> None:
    """Otherwise a task that was sent would end as one that was not."""
    assert holding_time(seconds_left) == pytest.approx(held)


async def test_it_is_kept_back_while_restate_may_send_the_result() -> None:
    """The result that comes first spares the entry; a process that is asked to end journals it at once."""
    ctx, channel = connected()
    holding = asyncio.create_task(hold_acknowledgement(ctx, LONG_S))
    await asyncio.sleep(0)
    assert not holding.done()
    channel.notify_shutdown()
    await holding
    await channel.close()  # type: ignore[no-untyped-call]  # it has no annotation


async def test_it_is_not_kept_back_where_restate_sends_nothing_more() -> None:
    """On platforms such as Lambda the handler is to suspend, and no result comes before that."""
    ctx, channel = connected({"type": "http.request", "body": b"", "more_body": False})
    await hold_acknowledgement(ctx, LONG_S)
    await channel.close()  # type: ignore[no-untyped-call]  # it has no annotation


async def test_it_is_not_kept_back_in_a_handler_test() -> None:
    """There is no journal, and its time is not that of a clock."""
    begun: list[Context] = []

    async def handler(ctx: Context) -> None:
        begun.append(ctx)
        await hold_acknowledgement(ctx, LONG_S)

    async with HandlerTest() as test:
        await test.run(handler)
    assert begun
