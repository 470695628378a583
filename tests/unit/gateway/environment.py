"""A gateway on a broker in memory, and clients of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import httpx
import orjson
from tests.unit.bridge.factories import AUDIENCE, KEYRING, RecordFactory

from kallback.gateway import Gateway, GatewayOptions
from kallback.kafka import MemoryBroker, MemoryClients, Record
from kallback.settings import KeySettings, Settings
from kallback.web import ServerOptions

PROGRESS: Final = "kallback.progress"


@dataclass
class GatewayEnv:
    """Everything around one gateway."""

    broker: MemoryBroker
    settings: Settings
    make: RecordFactory = field(default_factory=RecordFactory)

    def options(self, **options: Any) -> GatewayOptions:
        """Of a gateway on a free port; the bounds of its server are among them."""
        bounds = {name: options.pop(name) for name in [*options] if name in ServerOptions.__dataclass_fields__}
        return GatewayOptions(server=ServerOptions(port=0, **bounds), **options)

    def stopped(self, **options: Any) -> Gateway:
        """A gateway that is not started."""
        return Gateway(self.settings, self.options(**options), kafka=MemoryClients(self.broker))

    @asynccontextmanager
    async def running(self, **options: Any) -> AsyncGenerator[Gateway]:
        """A gateway on a free port."""
        async with self.stopped(**options) as gateway:
            yield gateway

    def records(self, topic: str = AUDIENCE) -> list[Record]:
        """What was written."""
        return self.broker.records(topic)


def environment() -> GatewayEnv:
    """Topics of one environment, and the keys of its gateway."""
    broker = MemoryBroker()
    for topic in (AUDIENCE, PROGRESS):
        broker.create_topic(topic, largest=2_000_000)
    return GatewayEnv(broker, Settings(keys=KeySettings(KEYRING)))


async def post(gateway: Gateway, path: str, body: bytes = b"", **headers: str) -> httpx.Response:
    """Send one request; underscores in names of headers are hyphens."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    async with client_of(gateway) as client:
        return await client.post(path, content=body, headers=named)


async def exchange(gateway: Gateway, raw: bytes) -> bytes:
    """What a client reads that sends these bytes and nothing more."""
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
    writer.write(raw)
    async with asyncio.timeout(30):
        answer = await reader.read()
    writer.close()
    return answer


def problem(response: httpx.Response) -> str:
    """The kind of a refusal, which is a problem object."""
    assert response.headers["content-type"] == "application/problem+json"
    members = orjson.loads(response.content)
    assert members["status"] == response.status_code
    assert members["detail"]
    return str(members["type"]).removeprefix("urn:kallback:")


def client_of(gateway: Gateway) -> httpx.AsyncClient:
    """A client for requests of any kind; without certificates, which take half a second to load."""
    return httpx.AsyncClient(base_url=f"http://127.0.0.1:{gateway.port}", verify=False, trust_env=False)
