"""A commit that we gave up leaves nothing behind, although aiokafka goes on with it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from aiokafka.consumer.group_coordinator import GroupCoordinator
from aiokafka.errors import NotCoordinatorForGroupError
from aiokafka.structs import OffsetAndMetadata, TopicPartition

from kallback.kafka.aiokafka.client import adopt_abandoned_commits


class CoordinatorOfADyingBroker(GroupCoordinator):
    """aiokafka's own commit, on a broker whose answer comes after we gave up, and is an error."""

    def __init__(self) -> None:
        self._commit_lock = asyncio.Lock()
        self.group_id, self.generation, self.member_id, self.coordinator_id = "group", 1, "member", 0
        self.asked, self.dies = asyncio.Event(), asyncio.Event()

    def __del__(self, _warnings: Any = None) -> None:
        """Nothing was opened."""

    async def ensure_coordinator_known(self) -> None:
        """It is."""

    async def _send_req(self, _request: Any) -> Any:
        self.asked.set()
        await self.dies.wait()
        raise NotCoordinatorForGroupError


@pytest.mark.parametrize("adopted", [True, False])
async def test_an_abandoned_commit_does_not_complain(adopted: bool) -> None:  # noqa: FBT001 - with and without
    """The error of the abandoned request is reported as never retrieved, unless it was adopted."""
    complaints: list[dict[str, Any]] = []
    loop = asyncio.get_running_loop()
    coordinator = CoordinatorOfADyingBroker()
    commit = asyncio.create_task(coordinator.commit_offsets(None, {TopicPartition("t", 0): OffsetAndMetadata(1, "")}))  # type: ignore[no-untyped-call]  # aiokafka has no types for it
    await coordinator.asked.wait()
    (request,) = (task for task in asyncio.all_tasks() if "_do_commit_offsets" in repr(task.get_coro()))
    commit.cancel()
    await asyncio.wait([commit])
    if adopted:
        adopt_abandoned_commits()
    loop.set_exception_handler(lambda _loop, context: complaints.append(context))
    try:
        coordinator.dies.set()
        await asyncio.wait([request])
        del request, commit
    finally:
        loop.set_exception_handler(None)
    assert bool(complaints) is not adopted
