"""A service process, a real bridge, and a worker that is nothing but a Kafka client."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from confluent_kafka import Consumer, Message, Producer

from kallback.bridge import Bridge, BridgeOptions
from kallback.settings import KafkaSettings, KeySettings, RestateSettings, Settings, Topics
from kallback.testing import Admin, Ingress, ServiceProcess, Stack, TopicFactory, eventually


class BareWorker:
    """Any Kafka client in any language: it echoes header kallback-token, and knows no more."""

    def __init__(self, bootstrap_servers: str, topic: str, results: str) -> None:
        self._consumer = Consumer(
            {"bootstrap.servers": bootstrap_servers, "group.id": uuid4().hex, "auto.offset.reset": "earliest"}
        )
        self._consumer.subscribe([topic])
        self._producer = Producer({"bootstrap.servers": bootstrap_servers})
        self._results = results
        self._seen: list[Message] = []

    async def task(self, request: Any) -> Message:
        """The task record with this request."""

        async def look() -> Message | None:
            message = await asyncio.to_thread(self._consumer.poll, 0.2)
            if message is not None and message.error() is None:
                self._seen.append(message)
            return next((each for each in self._seen if json.loads(each.value() or b"") == request), None)

        return await eventually(f"a task with {request!r}", look)

    def answer(self, task: Message, value: bytes | None) -> None:
        """Send a result for a task."""
        token = dict(task.headers() or ())["kallback-token"]
        self.send(value, {"kallback-token": token})

    def send(self, value: bytes | None, headers: dict[str, Any]) -> None:
        """Send any record to the results topic."""
        self._producer.produce(self._results, value=value, headers=list(headers.items()))
        self._producer.flush(10)

    def close(self) -> None:
        """Leave the group."""
        self._consumer.close()


@dataclass(frozen=True)
class AwakeableEnv:
    """Everything around the handlers of `awakeable_app`."""

    service: ServiceProcess
    ingress: Ingress
    admin: Admin
    worker: BareWorker
    ids: Consumer
    notifier: str
    _announced: dict[str, str] = field(default_factory=dict)

    async def announced(self, name: str) -> str:
        """What the handler that was called with this name announced."""

        async def look() -> str | None:
            message = await asyncio.to_thread(self.ids.poll, 0.2)
            if message is not None and message.error() is None:
                self._announced[(message.key() or b"").decode()] = (message.value() or b"").decode()
            return self._announced.get(name)

        return await eventually(f"an id from {name}", look)

    async def suspended(self, invocation_id: str) -> None:
        """Wait until Restate has suspended the invocation."""

        async def look() -> bool:
            row = await self.admin.invocation(invocation_id)
            return row is not None and row["status"] == "suspended"

        await eventually(f"suspension of {invocation_id}", look)


@pytest.fixture(scope="module")
async def env(kallback_stack: Stack, topics_factory: TopicFactory) -> AsyncGenerator[AwakeableEnv]:
    """The handlers' process, the bridge and the bare worker, on topics of their own."""
    topics = Topics(prefix=f"page-{uuid4().hex[:8]}.")
    topics_factory.make(topics.all())
    echo, ids_topic = topics_factory("echo"), topics_factory("ids")
    address = kallback_stack.bootstrap_servers
    variables = {
        "KALLBACK_KAFKA_BOOTSTRAP_SERVERS": address,
        "KALLBACK_TOPICS_PREFIX": topics.prefix,
        "KALLBACK_INSECURE": "1",
        "ECHO_TOPIC": echo,
        "IDS_TOPIC": ids_topic,
    }
    settings = Settings(
        kafka=KafkaSettings(address),
        restate=RestateSettings(kallback_stack.ingress_url, kallback_stack.admin_url),
        topics=topics,
        keys=KeySettings(insecure=True),
    )
    service = ServiceProcess("awakeable_app:app", kallback_stack.restate, env=variables, cwd=Path(__file__).parent)
    worker = BareWorker(address, echo, topics.results)
    ids = Consumer({"bootstrap.servers": address, "group.id": uuid4().hex, "auto.offset.reset": "earliest"})
    ids.subscribe([ids_topic])
    try:
        await asyncio.to_thread(service.start)
        async with (
            Bridge(settings, BridgeOptions(group=uuid4().hex, allow_bare_awakeables=True)),
            Ingress(kallback_stack.ingress_url) as ingress,
            Admin(kallback_stack.admin_url) as admin,
        ):
            yield AwakeableEnv(service, ingress, admin, worker, ids, settings.services.notifier)
    finally:
        worker.close()
        ids.close()
        await asyncio.to_thread(service.close)
