"""Leaves a group in bounded time, whatever its coordinator waits for.

aiokafka's own close waits for the coordination task. That one may wait for Kafka's answer to a JoinGroup or SyncGroup,
which comes when all other members have joined: after a minute, if one of them drains. A member that ends meanwhile
without leaving is waited for by its group until its session expires. Kafka knows a member by its id before it has
joined (KIP-394), and a LeaveGroup takes such a member out of the rebalance. It needs a connection of its own: Kafka
handles the requests of one connection in turn.

A member with an instance id does not leave: its successor takes its place.

Cancellation: the coordination task is cancelled only for a client that is closed next.
"""

# aiokafka is annotated in part only and ships no py.typed:
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportPrivateUsage=false

# ruff: noqa: SLF001 - aiokafka has no public way to leave a group with a bound

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any, Final

from aiokafka import errors
from aiokafka.consumer.group_coordinator import GroupCoordinator
from aiokafka.protocol.group import LeaveGroupRequest

from kallback.kafka.aiokafka.client import close
from kallback.settings import named_log

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from aiokafka import AIOKafkaConsumer

log: Final = named_log("kallback.kafka")

_GRACE_S: Final = 0.5
"""For the coordination task to end by itself: it does at once, unless it waits for an answer."""
_LEAVE_TIMEOUT_S: Final = 2.0  # a broker that is away or frozen does not hear it
_OWN_CONNECTION: Final = "leaving"
"""aiokafka keeps connections by node and purpose; this is another purpose than its own two."""


async def leave_group(inner: AIOKafkaConsumer) -> None:
    """End the membership of a client that is closed next; nothing is left of it that closing would wait for."""
    coordinator: Any = inner._coordinator
    if not isinstance(coordinator, GroupCoordinator) or coordinator._closing.done():
        return
    coordinator._closing.set_result(None)
    coordination: asyncio.Task[None] = coordinator._coordination_task
    await asyncio.wait({coordination}, timeout=_GRACE_S)
    await _end(coordination, coordinator._heartbeat_task, coordinator._commit_refresh_task)
    if coordinator._group_instance_id is None and coordinator.member_id and coordinator.coordinator_id is not None:
        await _leave(inner, coordinator)


async def leave_and_close(inner: AIOKafkaConsumer) -> None:
    """Leave the group and close the client; when it is cancelled, the client is closed all the same."""
    try:
        await leave_group(inner)
    finally:
        await close(inner)


async def close_each(
    close_one: Callable[[AIOKafkaConsumer], Awaitable[None]], clients: Iterable[AIOKafkaConsumer]
) -> None:
    """Close clients one after the other; an error or a cancellation keeps none of them from it.

    Not in tasks of their own: one that is cancelled before its first step would close nothing.
    """
    async with contextlib.AsyncExitStack() as closing:
        for each in clients:
            closing.push_async_callback(close_one, each)


async def _end(*tasks: asyncio.Task[None] | None) -> None:
    running = [each for each in tasks if each is not None]
    for each in running:
        each.cancel()
    await asyncio.wait(running)
    for each in running:
        if not each.cancelled():
            each.exception()  # of interest to who fetches, and nobody does any more


async def _leave(inner: AIOKafkaConsumer, coordinator: Any) -> None:
    request = LeaveGroupRequest(coordinator.group_id, coordinator.member_id)
    client: Any = inner._client
    try:
        async with asyncio.timeout(_LEAVE_TIMEOUT_S):
            await client.send(coordinator.coordinator_id, request, group=_OWN_CONNECTION)
    except (errors.KafkaError, TimeoutError) as error:
        log.debug("leaving the group failed: its session will expire", group=coordinator.group_id, reason=repr(error))
