"""A handler that asks for a task, and what its path over Kafka and back needs."""

from __future__ import annotations

import asyncio
import os
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import uuid4

import restate

from kallback.protocol import Keyring, TaskType
from kallback.sdk import Callbacks
from kallback.settings import KafkaSettings, KeySettings, RestateSettings, Settings, Topics
from kallback.testing import Admin, Ingress, Stack, TopicFactory, serve_endpoint


@dataclass(frozen=True)
class TaskPath:
    """A service with one handler, which asks for a task and returns its result.

    Attributes:
        settings: of bridges and workers on this path.
        task_type: what the handler asks for; it has heartbeats.
        service: the name of the service.
    """

    settings: Settings
    task_type: TaskType[str, Any]
    service: str
    ingress: Ingress
    admin: Admin

    async def call(self, text: str, *, timeout: float = 60) -> str:  # noqa: ASYNC109 - patience
        """Call the handler and wait for its result."""
        answer: str = await asyncio.wait_for(self.ingress.call(f"{self.service}/run", text), timeout)
        return answer

    async def start(self, text: str) -> str:
        """Start the handler; return its invocation id."""
        return await self.ingress.send(f"{self.service}/run", text)


async def open_task_path(
    stack: Stack,
    topics: Topics,
    make: TopicFactory,
    until: AsyncExitStack,
    task_type: TaskType[str, Any] | None = None,
) -> TaskPath:
    """Serve the handler until the exit stack is closed; by default it asks for a type of the test's own."""
    settings = Settings(
        kafka=KafkaSettings(stack.bootstrap_servers),
        restate=RestateSettings(stack.ingress_url, stack.admin_url),
        topics=topics,
        keys=KeySettings(keyring=Keyring({"k1": os.urandom(32)})),
    )
    task_type = task_type or TaskType(
        make("work"),
        request=str,
        result=str,
        timeout=timedelta(minutes=2),
        heartbeat_every=timedelta(seconds=1),
    )
    return await serve_task_path(stack, settings, task_type, until)


async def serve_task_path(
    stack: Stack, settings: Settings, task_type: TaskType[str, Any], until: AsyncExitStack
) -> TaskPath:
    """Serve a handler that asks for a type, with settings that others may have, too."""
    callbacks = await until.enter_async_context(Callbacks(settings))
    service = restate.Service(f"TaskPath{uuid4().hex[:8]}")

    @service.handler()
    async def run(ctx: restate.Context, text: str) -> Any:
        return await callbacks.call(ctx, task_type, text)

    app = restate.app([service, *callbacks.services])
    await until.enter_async_context(serve_endpoint(app, stack.restate))
    ingress = await until.enter_async_context(Ingress(stack.ingress_url, timeout=600))  # `TaskPath.call` has the limit
    admin = await until.enter_async_context(Admin(stack.admin_url))
    return TaskPath(settings, task_type, service.name, ingress, admin)
