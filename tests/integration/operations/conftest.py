"""A shop whose handlers wait for tasks that nothing does, on real servers; topics and services for each test."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
import restate

from kallback.kafka import Record, find_record
from kallback.operations import Introspection, PendingTask, PendingTasks
from kallback.protocol import TaskType
from kallback.sdk import Callbacks
from kallback.settings import KafkaSettings, KeySettings, RestateSettings, Settings, Topics
from kallback.testing import Admin, Ingress, Stack, TopicFactory, eventually, serve_endpoint

HOUR = timedelta(hours=1)


@dataclass(frozen=True)
class Shop:
    """One environment with a served handler."""

    settings: Settings
    callbacks: Callbacks
    ingress: Ingress
    admin: Admin
    pending: PendingTasks
    cook: TaskType[dict[str, Any], dict[str, Any]]
    service: str

    async def order(self, number: int = 0) -> str:
        """Start the handler; the invocation's id."""
        return await self.ingress.send(f"{self.service}/order", {"number": number})

    async def record(self, task: PendingTask) -> Record:
        """The record of a task."""
        assert task.position is not None
        record = await find_record(self.settings.kafka, task.position)
        assert record is not None
        return record

    async def tasks(self, count: int) -> list[PendingTask]:
        """The pending tasks, as soon as there are so many."""

        async def listed() -> bool:
            return len((await self.pending.page()).tasks) == count

        await eventually(f"{count} pending tasks", listed)
        return (await self.pending.page()).tasks


Handler = Callable[[restate.Context, Callbacks, TaskType[Any, Any], dict[str, Any]], Any]
ShopFactory = Callable[..., AbstractAsyncContextManager[Shop]]


@pytest.fixture
def make_shop(kallback_stack: Stack, topics_factory: TopicFactory) -> ShopFactory:
    """Makes a shop whose handler does what the test says; `limits` are those of its task type."""

    @asynccontextmanager
    async def make(handler: Handler, **limits: Any) -> AsyncGenerator[Shop]:
        topics = Topics(prefix=f"ops-{uuid4().hex[:8]}.")
        cook = TaskType(f"{topics.prefix}cook", dict[str, Any], dict[str, Any], **{"timeout": HOUR} | limits)
        topics_factory.make([*topics.all(), cook.topic])
        settings = Settings(
            kafka=KafkaSettings(kallback_stack.bootstrap_servers),
            restate=RestateSettings(kallback_stack.ingress_url, kallback_stack.admin_url),
            topics=topics,
            keys=KeySettings(insecure=True),
        )
        service = restate.Service(f"Shop{uuid4().hex[:8]}")
        async with (
            Callbacks(settings) as callbacks,
            Ingress(kallback_stack.ingress_url) as ingress,
            Admin(kallback_stack.admin_url) as admin,
            Introspection(settings.restate) as introspection,
        ):

            @service.handler()
            async def order(ctx: restate.Context, body: dict[str, Any]) -> Any:
                return await handler(ctx, callbacks, cook, body)

            async with serve_endpoint(callbacks.app([service]), kallback_stack.restate):
                pending = PendingTasks(introspection, settings)
                yield Shop(settings, callbacks, ingress, admin, pending, cook, service.name)

    return make
