"""An application whose journal is encrypted: its bridge applies the same codec, or ends at its start."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, Final
from uuid import uuid4

import httpx
import pytest
import restate
from tests.integration.end_to_end import sealed_journal

from kallback.bridge import Bridge, BridgeOptions, CompleterName
from kallback.operations import Introspection, PendingTasks, UnreadableJournalsError
from kallback.operations.doctor import Severity, service_check
from kallback.operations.doctor.service_findings import service_findings
from kallback.protocol import ConfigurationError, Keyring, TaskType
from kallback.protocol.tasktypes import INTERVALS_UNTIL_LOST
from kallback.sdk import Callbacks, TaskFailed
from kallback.settings import KafkaSettings, KeySettings, RestateSettings, Settings, Topics
from kallback.testing import Admin, Stack, TopicFactory, eventually, serve_endpoint
from kallback.workers import TaskFailure, Worker

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]

HEARTBEAT_S: Final = 0.3
JSON: Final = "application/json"
CODEC: Final = "tests.integration.end_to_end.sealed_journal:codec"


@dataclass(frozen=True)
class SealedPath:
    """A served application whose journal is encrypted, unless a test asked for none.

    Attributes:
        settings: of bridges with the codec.
        task_type: what the handler asks for; it has heartbeats.
    """

    settings: Settings
    task_type: TaskType[str, str]
    service: str
    http: httpx.AsyncClient

    def told(self, codec: str) -> Settings:
        """The settings of a bridge with this codec."""
        return replace(self.settings, restate=replace(self.settings.restate, journal_value_codec=codec))

    async def call(self, text: str) -> Any:
        """Call the handler as a client with the codec."""
        url = f"{self.settings.restate.ingress_url}/{self.service}/run"
        body = sealed_journal.codec.encode(json.dumps(text).encode())
        answer = await self.http.post(url, content=body, headers={"content-type": JSON}, timeout=60)
        assert answer.status_code == 200, answer.text
        return json.loads(await sealed_journal.codec.decode(answer.content))


@pytest.fixture(params=[sealed_journal.codec])
async def path(
    request: pytest.FixtureRequest, kallback_stack: Stack, topic_names: Topics, topics_factory: TopicFactory
) -> AsyncGenerator[SealedPath]:
    """The application, and a worker; no bridge yet. A parameter is its codec; None: it has none."""
    stack = kallback_stack
    settings = Settings(
        kafka=KafkaSettings(stack.bootstrap_servers),
        restate=RestateSettings(stack.ingress_url, stack.admin_url, journal_value_codec=CODEC),
        topics=topic_names,
        keys=KeySettings(keyring=Keyring({"k1": os.urandom(32)})),
    )
    task_type = TaskType(
        topics_factory("sealed"),
        request=str,
        result=str,
        timeout=timedelta(minutes=2),
        heartbeat_every=timedelta(seconds=HEARTBEAT_S),
    )
    callbacks, service = Callbacks(settings), restate.Service(f"Sealed{uuid4().hex[:8]}")

    @service.handler()
    async def run(ctx: restate.Context, text: str) -> str:
        try:
            return await callbacks.call(ctx, task_type, text)
        except TaskFailed as error:
            return f"failed: {error.message}"

    @service.handler()
    async def ask(ctx: restate.Context, text: str) -> str:
        return f"{text}: {await (await callbacks.awakeable(ctx, task_type)).result()}"

    worker = Worker(f"sealed-{uuid4().hex[:8]}", settings=settings)

    @worker.task(task_type)
    async def work(text: str) -> str:
        if text == "slow":
            await asyncio.sleep(4 * HEARTBEAT_S * INTERVALS_UNTIL_LOST)
        if not text:
            raise TaskFailure("Empty", detail="nothing to do")
        return f"done {text}"

    app = callbacks.app([service], journal_value_codec=request.param)
    async with AsyncExitStack() as until:
        await until.enter_async_context(callbacks)
        await until.enter_async_context(serve_endpoint(app, stack.restate))
        await until.enter_async_context(worker)
        http = await until.enter_async_context(httpx.AsyncClient(timeout=60))
        yield SealedPath(settings, task_type, service.name, http)


@pytest.mark.parametrize("codec", ["codec", "provider"])
@pytest.mark.parametrize("completer", list(CompleterName))
async def test_results_and_failures_reach_the_handler(path: SealedPath, completer: CompleterName, codec: str) -> None:
    """With either completer, and with a codec that is built when the bridge starts."""
    settings = path.told(f"tests.integration.end_to_end.sealed_journal:{codec}")
    async with Bridge(settings, BridgeOptions(completer=completer)):
        assert await path.call("soup") == "done soup"
        assert await path.call("") == "failed: nothing to do"


async def test_nothing_of_a_task_is_readable_in_the_journal(path: SealedPath, kallback_stack: Stack) -> None:
    """The application encrypts its values, and the bridge sends no other."""
    secret = uuid4().hex
    async with Bridge(path.settings), Admin(kallback_stack.admin_url) as admin:
        assert await path.call(secret) == f"done {secret}"
        journal = json.dumps(await admin.query("SELECT raw FROM sys_journal"))  # hexadecimal
    assert path.service.encode().hex() in journal
    assert secret.encode().hex() not in journal


async def test_the_list_counts_what_waits_for_an_answer(path: SealedPath) -> None:
    """Nothing of an awakeable can be read but the names of steps; before, it was in no list and no count."""
    settings = path.settings
    async with Introspection(settings.restate) as introspection, Admin(settings.restate.admin_url) as admin:
        url = f"{settings.restate.ingress_url}/{path.service}/ask/send"
        sent = await path.http.post(url, content=sealed_journal.codec.encode(b'"soup"'), headers={"content-type": JSON})
        invocation = sent.json()["invocationId"]
        pending = PendingTasks(introspection, settings)

        async def is_counted() -> bool:
            return invocation in (await pending.page()).unreadable

        await eventually("an invocation that cannot be read", is_counted)
        with pytest.raises(UnreadableJournalsError):
            await pending.find("AAECAwQFBgcICQoL")
        await admin.cancel(invocation)


async def test_heartbeats_reach_the_monitor(path: SealedPath) -> None:
    """Its inputs are encoded, too: otherwise each attempt would count as lost."""
    async with Bridge(path.settings):
        assert await path.call("slow") == "done slow"


@pytest.mark.parametrize("codec", ["", "tests.integration.end_to_end.sealed_journal:other"])
async def test_a_bridge_with_another_codec_ends_at_its_start(path: SealedPath, codec: str) -> None:
    """Its results would be retried by the handler for ever."""
    with pytest.raises(ConfigurationError, match=r"cannot decode what this bridge sends.*JOURNAL_VALUE_CODEC"):
        await Bridge(path.told(codec)).start()


@pytest.mark.parametrize("path", [None], indirect=True)
async def test_a_bridge_with_a_codec_that_the_services_lack_ends_at_its_start(path: SealedPath) -> None:
    """They would read ciphertext."""
    with pytest.raises(ConfigurationError, match=r"cannot read what this bridge sends.*JOURNAL_VALUE_CODEC"):
        await Bridge(path.settings).start()


async def test_a_codec_that_is_not_there_ends_the_start(path: SealedPath) -> None:
    """The sentence names the variable."""
    with pytest.raises(ConfigurationError, match="JOURNAL_VALUE_CODEC='nowhere:codec' cannot be imported"):
        await Bridge(path.told("nowhere:codec")).start()


@pytest.mark.parametrize(
    ("path", "codec"),
    [
        (sealed_journal.codec, ""),
        (sealed_journal.codec, f"{sealed_journal.__name__}:other"),
        (sealed_journal.masking, ""),
        (sealed_journal.masking, CODEC),
        (None, CODEC),
    ],
    indirect=["path"],
    ids=["sealed-none", "sealed-other", "masked-none", "masked-other", "none-sealed"],
)
async def test_the_doctor_with_another_codec_has_one_problem(path: SealedPath, codec: str) -> None:
    """The services answer: there is nothing to start, neither they nor Restate."""
    ask = service_check(path.told(codec))
    assert ask is not None
    [finding] = [each for each in service_findings(await ask()) if each.severity is Severity.PROBLEM]
    assert "another journal value codec" in finding.sentence
    assert finding.remedy.startswith("set KALLBACK_RESTATE_JOURNAL_VALUE_CODEC as bridges have it")
