"""The service process ends and starts again while tasks are under way."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest
from tests.integration.sdk.environment import SdkEnv

from kallback.protocol import CancelProof, TaskHeaders
from kallback.testing import ServiceProcess, eventually

pytestmark = pytest.mark.integration

KEYS = {key_id: f"{key_id}:{secrets.token_urlsafe(32)}" for key_id in ("k1", "k2")}
SERVICE = """
import os
from dataclasses import dataclass
from pathlib import Path

import restate

from kallback.sdk import Callbacks, TaskType


@dataclass
class Order:
    dish: str


@dataclass
class Prepared:
    shelf: str


os.environ["KALLBACK_KEYS"] = Path("keys.txt").read_text()
prepare = TaskType("{name}", Order, Prepared, topic="{topic}")
callbacks = Callbacks.from_env()
kitchen = restate.Service("Kitchen{suffix}")


@kitchen.handler()
async def run(ctx: restate.Context) -> list:
    handle = await callbacks.start(ctx, prepare, Order("soup"))
    prepared = await handle.result()
    return [prepared.shelf, handle.task_id, handle.attempt]


app = restate.app([kitchen, *callbacks.services])
"""


@pytest.fixture
async def kitchen(env: SdkEnv, tmp_path: Path) -> AsyncGenerator[tuple[ServiceProcess, str]]:
    """A service in a process of its own, set up by the environment, and its handler's path."""
    suffix = env.prepare.name.rpartition(".")[2]
    text = SERVICE.format(name=env.prepare.name, topic=env.prepare.topic, suffix=suffix)
    (tmp_path / "kitchen.py").write_text(text)
    (tmp_path / "keys.txt").write_text("")
    variables = {
        "KALLBACK_KAFKA_BOOTSTRAP_SERVERS": env.settings.kafka.bootstrap_servers,
        "KALLBACK_TOPICS_PREFIX": env.settings.topics.prefix,
        "KALLBACK_INSECURE": "1",
    }
    process = ServiceProcess("kitchen:app", env.stack.restate, env=variables, cwd=tmp_path)
    await asyncio.to_thread(process.start)
    yield process, f"Kitchen{suffix}/run"
    await asyncio.to_thread(process.close)


@pytest.mark.parametrize("end", ["stop", "kill"])
async def test_a_restart_while_the_handler_waits(env: SdkEnv, kitchen: Any, end: str) -> None:
    """A result that came while no service ran is there after the start, for the same task and attempt."""
    process, path = kitchen
    invocation = await env.ingress.send(path)
    task = await env.task()
    await asyncio.to_thread(getattr(process, end))
    await env.complete(task, b'{"shelf": "B3"}')
    await asyncio.to_thread(process.start)
    shelf, task_id, attempt = await asyncio.wait_for(env.ingress.attach(invocation), 60)
    assert (shelf, attempt) == ("B3", 1)
    assert task_id == TaskHeaders.decode(task.headers).task_id


async def test_a_suspended_handler_resumes(env: SdkEnv, kitchen: Any) -> None:
    """An idle handler suspends, holding nothing, and resumes when the result comes."""
    _, path = kitchen
    invocation = await env.ingress.send(path)
    task = await env.task()

    async def suspended() -> bool:
        row = await env.admin.invocation(invocation)
        return row is not None and row["status"] == "suspended"

    await eventually("a suspended invocation", suspended)
    await env.complete(task, b'{"shelf": "B3"}')
    assert (await env.ingress.attach(invocation))[0] == "B3"


async def test_a_cancel_after_the_rotation_of_keys_is_authentic(env: SdkEnv, kitchen: Any, tmp_path: Path) -> None:
    """The service signs with another key when it starts again; the task knows the hash of a secret of the older one."""
    process, path = kitchen
    await asyncio.to_thread(process.stop)
    (tmp_path / "keys.txt").write_text(KEYS["k1"])
    await asyncio.to_thread(process.start)
    invocation = await env.ingress.send(path)
    headers = TaskHeaders.decode((await env.task()).headers)

    await asyncio.to_thread(process.stop)
    (tmp_path / "keys.txt").write_text(f"{KEYS['k2']},{KEYS['k1']}")
    await asyncio.to_thread(process.start)
    await env.admin.cancel(invocation)
    cancel = await env.cancel_record()
    assert headers.cancel_hash is not None
    assert cancel.proof(headers.cancel_hash) is CancelProof.AUTHENTIC
