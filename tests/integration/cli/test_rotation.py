"""A key rotation done in the wrong order loses nothing: on a real Kafka, a real Restate and the real bridge."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import os
from collections.abc import AsyncGenerator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import restate
from click.testing import CliRunner, Result

from kallback.bridge import Bridge
from kallback.cli.dead_letters.commands import dead_letters
from kallback.kafka import ConfluentProducer, ConfluentReader, OutgoingRecord, Record
from kallback.protocol import (
    Attempt,
    AwakeableId,
    Keyring,
    Token,
    completed_headers,
    locate_awakeable,
    parse_awakeable_id,
    task_id_of,
)
from kallback.settings import KafkaSettings, KeySettings, RestateSettings, Settings, Topics
from kallback.testing import Ingress, Stack, eventually, serve_endpoint

pytestmark = pytest.mark.integration

OLD, NEW = ({key_id: hashlib.sha256(key_id.encode() + b" of a rotation").digest()} for key_id in ("k1", "k2"))

waiting: dict[str, str] = {}
"""Awakeable ids of handlers that wait, by the name they were called with; a replay writes the same one."""
waiter = restate.Service("RotationWaiter")


@waiter.handler()
async def wait(ctx: restate.Context, name: str) -> Any:
    """Wait on an awakeable."""
    promise: restate.RestateDurableFuture[Any]
    awakeable_id, promise = ctx.awakeable()
    waiting[name] = awakeable_id
    return await promise


@pytest.fixture
async def ingress(kallback_stack: Stack) -> AsyncGenerator[Ingress]:
    """The service above, and how to call it."""
    async with serve_endpoint(restate.app([waiter]), kallback_stack.restate), Ingress(kallback_stack.ingress_url) as it:
        yield it


@pytest.fixture
def settings(kallback_stack: Stack, topic_names: Topics) -> Settings:
    """A bridge's settings from before the rotation."""
    return Settings(
        KafkaSettings(kallback_stack.bootstrap_servers),
        RestateSettings(kallback_stack.ingress_url, kallback_stack.admin_url),
        topic_names,
        KeySettings(Keyring(OLD)),
    )


async def awakeable_of(name: str) -> AwakeableId:
    """The awakeable of a handler, once it waits."""
    return parse_awakeable_id(await eventually("the handler's awakeable", lambda: waiting.get(name, "")))


def rotated(settings: Settings) -> Settings:
    """The same bridge once it has the new key."""
    return replace(settings, keys=replace(settings.keys, keyring=Keyring(NEW | OLD)))


async def answer(settings: Settings, awakeable_id: AwakeableId, service: Keyring) -> None:
    """A worker's result, whose token a service signed."""
    token = Token("shop.pack", task_id_of(os.urandom(12)), Attempt(1), awakeable_id)
    text = service.sign(token, settings.topics.results)
    async with ConfluentProducer(settings.kafka) as producer:
        await producer.send(OutgoingRecord(settings.topics.results, b'{"box":7}', b"k", completed_headers(text)))


async def held(settings: Settings, topic: str) -> list[Record]:
    """What a topic holds."""
    records: list[Record] = []
    async with ConfluentReader(settings.kafka, topic) as reader:
        while not reader.caught_up.is_set():
            records += await reader.fetch(1)
    return records


async def command(settings: Settings, *arguments: str) -> Result:
    """`kallback dead-letters` as an operator runs it."""
    environment = {
        "KALLBACK_KAFKA_BOOTSTRAP_SERVERS": settings.kafka.bootstrap_servers,
        "KALLBACK_TOPICS_PREFIX": settings.topics.prefix,
    }
    return await asyncio.to_thread(CliRunner(env=environment).invoke, dead_letters, list(arguments))


async def test_a_rotation_in_the_wrong_order_loses_nothing(settings: Settings, ingress: Ingress) -> None:
    """The result dies as unknown-key; when the bridge has the key, its replay completes the waiting handler."""
    call = asyncio.create_task(ingress.call("RotationWaiter/wait", "late-key"))
    awakeable_id = await awakeable_of("late-key")
    async with Bridge(settings):
        await answer(settings, awakeable_id, Keyring(NEW))
        dead = settings.topics.dead_letters
        await eventually("the dead letter", lambda: held(settings, dead), interval=0.2)
    assert not call.done()

    async with Bridge(rotated(settings)):
        result = await command(settings, "replay", "--reason", "unknown-key", "--yes")
        assert result.stdout == "Replayed 1 of 1 dead letter.\n", result.output
        envelope = await asyncio.wait_for(call, 60)
    assert (envelope["status"], envelope["value"]) == ("completed", {"box": 7})

    first, second = await held(settings, settings.topics.results)
    assert (first.key, first.value, first.headers) == (second.key, second.value, second.headers)
    assert (await command(settings, "replay", "--all", "--yes")).stdout == "Nothing to replay.\n"


def text_of(keys: dict[str, bytes]) -> str:
    """Keys as a file has them."""
    return ",".join(f"{key_id}:{base64.b64encode(key).decode()}" for key_id, key in keys.items())


def keyring_in(file: Path) -> Keyring:
    """What a process makes of a file."""
    return Settings.from_env({"KALLBACK_KEYS_FILE": str(file)}).keys.require()


async def test_keys_rotate_in_a_file_while_bridge_and_service_run(
    settings: Settings, ingress: Ingress, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They follow the file: each result is delivered, and after the rotation the old key is worth nothing."""
    monkeypatch.setattr("kallback.settings.files.secret_file._LOOK_INTERVAL_S", 0.0)
    file = tmp_path / "keys"
    file.touch(0o600)
    file.write_text(text_of(OLD))
    service = keyring_in(file)

    async with Bridge(replace(settings, keys=replace(settings.keys, keyring=keyring_in(file)))):
        for keys, service_signs in ((OLD, OLD), (NEW | OLD, OLD), (NEW | OLD, NEW), (NEW, NEW)):
            file.write_text(text_of(keys))
            name = f"{''.join(keys)}-{''.join(service_signs)}"
            call = asyncio.create_task(ingress.call("RotationWaiter/wait", name))
            await answer(
                settings, await awakeable_of(name), service if keys == service_signs else Keyring(service_signs)
            )
            assert (await asyncio.wait_for(call, 60))["status"] == "completed", name
        await answer(settings, await awakeable_of("k2-k2"), Keyring(OLD))
        (letter,) = await eventually("the dead letter", lambda: held(settings, settings.topics.dead_letters))
    assert dict(letter.headers)["kallback-dead-reason"] == b"unknown-key"


async def test_an_awakeable_names_its_invocation(ingress: Ingress) -> None:
    """The id that token inspect shows is the one that Restate's own tools know."""
    invocation_id = await ingress.send("RotationWaiter/wait", "named")
    awakeable_id = await awakeable_of("named")
    await ingress.resolve(awakeable_id, 1)
    assert locate_awakeable(awakeable_id) == (invocation_id, 17)
