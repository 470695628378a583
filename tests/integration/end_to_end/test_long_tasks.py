"""Handler, worker and bridge together: what only all three can show of long tasks."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
import restate

from kallback.bridge import Bridge, BridgeOptions, Client
from kallback.bridge.stats import ProgressOutcome
from kallback.kafka import ConfluentProducer, OutgoingRecord
from kallback.protocol import (
    Cancel,
    CancelReason,
    Keyring,
    RetryPolicy,
    Signal,
    TaskHeaders,
    TaskType,
    progress_headers,
)
from kallback.sdk import Callbacks
from kallback.settings import KafkaSettings, KeySettings, RestateSettings, Settings, Topics
from kallback.testing import Stack, eventually
from kallback.testing.clients.restate import Ingress, RestateError
from kallback.testing.clients.service_endpoint import serve_endpoint
from kallback.testing.topics import TopicFactory
from kallback.workers import TaskContext, Worker

pytestmark = pytest.mark.integration

BEAT = timedelta(milliseconds=300)
LIMIT = 0.9


@dataclass
class Gate:
    """Services in front of which there may be a proxy that answers 503."""

    endpoint: Any
    is_closed: bool = False

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve a request, or refuse it."""
        if not self.is_closed or scope["type"] != "http":
            await self.endpoint(scope, receive, send)
            return
        await send({"type": "http.response.start", "status": 503, "headers": []})
        await send({"type": "http.response.body", "body": b""})


@dataclass
class Pipe:
    """A handler that has something baked, and everything behind it.

    Attributes:
        silent: attempts whose worker says nothing after its start: it hangs, or it is gone.
        began: (attempt, details of the one before) of each run.
        until: lets the functions return.
    """

    settings: Settings
    bake: TaskType[str, str]
    ingress: Ingress
    producer: ConfluentProducer
    began: list[tuple[int, Any]] = field(default_factory=list[tuple[int, Any]])
    cancelled: list[int] = field(default_factory=list[int])
    until: asyncio.Event = field(default_factory=asyncio.Event)
    tasks: list[str] = field(default_factory=list[str])
    service: str = ""
    gate: Gate = field(default_factory=lambda: Gate(None))

    def worker(self) -> Worker:
        """A worker whose function tells one thing, then works until it may return."""
        worker = Worker(f"bakers-{uuid4().hex[:8]}", settings=self.settings)

        @worker.task(self.bake)
        async def bake(what: str, task: TaskContext) -> str:
            self.began.append((task.attempt, task.last_details))
            task.heartbeat({"layers": task.attempt})
            try:
                await self.until.wait()
            except asyncio.CancelledError:
                self.cancelled.append(task.attempt)
                raise
            return f"{what} by attempt {task.attempt}"

        return worker

    def call(self) -> asyncio.Task[Any]:
        """Call the handler."""
        return asyncio.create_task(self.ingress.call(f"{self.service}/run", "cake"))

    async def standing(self) -> dict[str, Any] | None:
        """How the task stands, asked over HTTP as anybody may; None when it is not known (any more)."""
        try:
            found: dict[str, Any] = await self.ingress.call(f"{self.settings.services.monitor}/{self.tasks[0]}/read")
        except RestateError as error:
            assert error.status == 404  # noqa: PT017 - the one that may come
            return None
        return found


@asynccontextmanager
async def pipe_on(
    stack: Stack, topics: Topics, make: TopicFactory, *, bound: bool = True, **limits: Any
) -> AsyncGenerator[Pipe]:
    """Serve the handler, with the services of callbacks unless they are not bound; no worker and no bridge yet."""
    settings = Settings(
        kafka=KafkaSettings(stack.bootstrap_servers),
        restate=RestateSettings(stack.ingress_url, stack.admin_url),
        topics=topics,
        keys=KeySettings(keyring=Keyring({"k1": os.urandom(32)})),
    )
    name = make(f"bake-{uuid4().hex[:8]}")
    bake = TaskType(name, request=str, result=str, **{"timeout": timedelta(minutes=1), **limits})
    async with AsyncExitStack() as until:
        callbacks = await until.enter_async_context(Callbacks(settings, services_elsewhere=not bound))
        service = restate.Service(f"Bakery{uuid4().hex[:8]}")
        pipe = Pipe(
            settings,
            bake,
            await until.enter_async_context(Ingress(stack.ingress_url)),
            await until.enter_async_context(ConfluentProducer(settings.kafka)),
            service=service.name,
        )

        @service.handler()
        async def run(ctx: restate.Context, what: str) -> str:
            handle = await callbacks.start(ctx, bake, what)
            pipe.tasks.append(handle.task_id)
            return await handle.result()

        endpoint = restate.app([service, *(callbacks.services if bound else ())])
        pipe.gate = Gate(endpoint)
        await until.enter_async_context(serve_endpoint(pipe.gate, stack.restate))
        yield pipe


async def test_progress_can_be_read_while_the_handler_waits(
    kallback_stack: Stack, topic_names: Topics, topics_factory: TopicFactory
) -> None:
    """What the function says reaches whoever asks, and is gone when the task has ended."""
    async with (
        pipe_on(kallback_stack, topic_names, topics_factory, heartbeat_every=BEAT) as pipe,
        Bridge(pipe.settings),
        pipe.worker(),
    ):
        answer = pipe.call()

        async def told() -> bool:
            found = await pipe.standing() if pipe.tasks else None
            return found is not None and found.get("details") == {"layers": 1}

        await eventually("the details", told)
        found = await pipe.standing()
        assert found is not None
        assert (found["attempt"], found["task_type"]) == (1, pipe.bake.name)
        pipe.until.set()
        assert await answer == "cake by attempt 1"

        async def gone() -> bool:
            return await pipe.standing() is None

        await eventually("a state that is gone", gone)


@pytest.mark.parametrize("client", list(Client))
async def test_a_task_whose_worker_works_is_never_lost(
    kallback_stack: Stack, topic_names: Topics, topics_factory: TopicFactory, client: Client
) -> None:
    """Several limits pass; the heartbeats of the kit alone keep the attempt."""
    retry = RetryPolicy(first_delay=timedelta(0))
    async with (
        pipe_on(kallback_stack, topic_names, topics_factory, heartbeat_every=BEAT, retry=retry) as pipe,
        Bridge(pipe.settings, BridgeOptions(client=client)) as bridge,
        pipe.worker(),
    ):
        answer = pipe.call()
        # 5 s after its start a bridge reports marks; three limits more, and a lost attempt would have been noticed
        await eventually("some heartbeats", lambda: bridge.stats.progress[ProgressOutcome.FORWARDED] >= 30)
        pipe.until.set()
        assert await answer == "cake by attempt 1"


@pytest.mark.parametrize("client", list(Client))
async def test_a_worker_that_falls_silent_is_noticed_and_the_next_one_knows_where_it_stopped(
    kallback_stack: Stack, topic_names: Topics, topics_factory: TopicFactory, client: Client
) -> None:
    """Somebody else's worker starts, tells how far it is, and dies; the kit's worker has the second attempt."""
    retry = RetryPolicy(first_delay=timedelta(0))
    async with (
        pipe_on(kallback_stack, topic_names, topics_factory, heartbeat_every=BEAT, retry=retry) as pipe,
        Bridge(pipe.settings, BridgeOptions(client=client)),
    ):
        answer = pipe.call()
        headers = await first_task(pipe)
        at_ms = int(time.time() * 1000)
        for signal, details in ((Signal.STARTED, b""), (Signal.HEARTBEAT, b'{"layers":7}')):
            record = progress_headers(headers.token, signal, at_ms, 300)
            await pipe.producer.send(
                OutgoingRecord(str(headers.progress_to), details, headers.task_id.encode(), record)
            )
        cancels = reading(pipe, pipe.settings.topics.control)
        first = Cancel.decode((await cancels)[0].value)
        assert (first.reason, first.attempt) == (CancelReason.SUPERSEDED, 1)
        pipe.until.set()
        async with pipe.worker():
            assert await answer == "cake by attempt 2"
    assert pipe.began == [(2, {"layers": 7})]


async def test_nothing_is_lost_while_the_bridge_is_away(
    kallback_stack: Stack, topic_names: Topics, topics_factory: TopicFactory
) -> None:
    """Silence counts only if somebody listens: after many limits without a bridge the first attempt still counts."""
    retry = RetryPolicy(first_delay=timedelta(0))
    async with (
        pipe_on(kallback_stack, topic_names, topics_factory, heartbeat_every=BEAT, retry=retry) as pipe,
        pipe.worker(),
    ):
        answer = pipe.call()
        async with Bridge(pipe.settings) as bridge:
            await eventually("marks", lambda: bridge.stats.progress[ProgressOutcome.FORWARDED] >= 20)
        away = time.monotonic() + 5 * LIMIT
        await eventually("five limits without a bridge", lambda: time.monotonic() > away, timeout=10)
        async with Bridge(pipe.settings) as bridge:
            await eventually("its first heartbeats", lambda: bridge.stats.progress[ProgressOutcome.FORWARDED] >= 20)
            pipe.until.set()
            assert await answer == "cake by attempt 1"
    assert [attempt for attempt, _ in pipe.began] == [1]


async def test_a_monitor_that_does_not_answer_is_an_error_that_says_so(
    kallback_stack: Stack, topic_names: Topics, topics_factory: TopicFactory
) -> None:
    """Its process is gone for longer than the caller waits: the caller does not hang, and reads what is to be done."""
    limits: dict[str, Any] = {"heartbeat_every": BEAT, "timeout": timedelta(seconds=3)}
    async with pipe_on(kallback_stack, topic_names, topics_factory, **limits):
        pass  # Restate knows the services, and nobody serves them any more
    async with pipe_on(kallback_stack, topic_names, topics_factory, bound=False, **limits) as pipe:
        with pytest.raises(RestateError, match=r"serve your services with callbacks\.app"):
            await pipe.call()


async def first_task(pipe: Pipe) -> TaskHeaders:
    """The first attempt's headers."""
    return TaskHeaders.decode((await reading(pipe, pipe.bake.topic))[0].headers)


async def reading(pipe: Pipe, topic: str) -> list[Any]:
    """Wait until a topic holds something."""
    from kallback.kafka import AiokafkaReader  # noqa: PLC0415 - a name that is imported on demand

    async with AiokafkaReader(pipe.settings.kafka, topic) as reader:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            if records := await reader.fetch(1.0):
                return records
    raise AssertionError(f"nothing on {topic}")
