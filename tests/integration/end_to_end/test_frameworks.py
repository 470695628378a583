"""Workers that know a framework's headers and nothing of kallback do tasks, and their failures are failures."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from typing import Any, Final

import pytest
from tests.integration.end_to_end.environment import TaskPath, open_task_path

from kallback.bridge import Bridge, BridgeOptions
from kallback.kafka import ConfluentProducer, ConfluentReader, OutgoingRecord, Record
from kallback.protocol import Convention, TaskType, read_conventions
from kallback.settings import Topics
from kallback.testing import RestateError, Stack, TopicFactory

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]

TaskHeaders = Mapping[str, bytes]
Reply = tuple[str, bytes | None, dict[str, bytes]]
"""Topic, value and headers of what a framework sends."""


def shout(value: bytes | None) -> str:
    """The application's handler: the same in each framework."""
    text: str = json.loads(value or b"null")
    if not text:
        raise ValueError("nothing to shout")
    return text.upper()


def spring(task: TaskHeaders, value: bytes | None) -> Reply:
    """A listener with `@SendTo` and an error handler that sets a header of its own choice."""
    topic, echoed = task["kafka_replyTopic"].decode(), {"kafka_correlationId": task["kafka_correlationId"]}
    try:
        return topic, json.dumps(shout(value)).encode(), echoed
    except ValueError as error:
        return topic, b'"FAILED"', {**echoed, "x-shop-error": str(error).encode()}


def nestjs(task: TaskHeaders, value: bytes | None) -> Reply:
    """`ServerKafka.sendMessage`: texts without quotes, errors in a header beside a null value."""
    topic = task["kafka_replyTopic"].decode()
    echoed = {"kafka_correlationId": task["kafka_correlationId"], "kafka_nest-is-disposed": b"\0"}
    try:
        return topic, shout(value).encode(), echoed
    except ValueError as error:
        thrown = json.dumps({"status": "error", "message": str(error)}).encode()
        return topic, None, {**echoed, "kafka_nest-err": thrown}


def faststream(task: TaskHeaders, value: bytes | None) -> Reply:
    """A subscriber that returns a text, or a `Response` with a header of its own choice."""
    topic, echoed = task["reply_to"].decode(), {"correlation_id": task["correlation_id"], "content-type": b"text/plain"}
    try:
        return topic, shout(value).encode(), echoed
    except ValueError as error:
        return topic, str(error).encode(), {**echoed, "x-shop-error": b"true"}


def smallrye(task: TaskHeaders, value: bytes | None) -> Reply:
    """A processor; its outgoing channel copies the correlation id."""
    topic, echoed = task["REPLY_TOPIC"].decode(), {"REPLY_CORRELATION_ID": task["REPLY_CORRELATION_ID"]}
    try:
        return topic, json.dumps(shout(value)).encode(), echoed
    except ValueError as error:
        return topic, b"null", {**echoed, "REPLY_ERROR": str(error).encode()}


def cloudevents(task: TaskHeaders, value: bytes | None) -> Reply:
    """Binary mode in, structured mode out; CloudEvents name no reply topic, so the application knows it."""
    assert (task["ce_specversion"], task["content-type"]) == (b"1.0", b"application/json")
    event = {"specversion": "1.0", "id": "e-1", "source": "/shop", "correlationid": task["ce_correlationid"].decode()}
    try:
        event |= {"type": "shop.shouted", "data": shout(value)}
    except ValueError as error:
        event |= {"type": "shop.refused", "data": str(error)}
    topic = task["kallback-reply-to"].decode()
    return topic, json.dumps(event).encode(), {"content-type": b"application/cloudevents+json"}


WORKERS: Final[dict[Convention, Callable[[TaskHeaders, bytes | None], Reply]]] = {
    Convention.SPRING: spring,
    Convention.NESTJS: nestjs,
    Convention.FASTSTREAM: faststream,
    Convention.SMALLRYE: smallrye,
    Convention.CLOUDEVENTS: cloudevents,
}
TOLD: Final = ("spring:x-shop-error", "faststream:x-shop-error", "cloudevents:shop.refused")


async def work(path: TaskPath, convention: Convention) -> None:
    """Do tasks as the framework would."""
    async with (
        ConfluentReader(path.settings.kafka, path.task_type.topic) as reader,
        ConfluentProducer(path.settings.kafka) as producer,
    ):
        while True:
            for task in await reader.fetch(0.2):
                topic, value, headers = WORKERS[convention](_headers_of(task), task.value)
                await producer.send(OutgoingRecord(topic, value, None, tuple(headers.items())))


def _headers_of(task: Record) -> TaskHeaders:
    return {name: value for name, value in task.headers if value is not None}


@pytest.fixture(params=list(WORKERS))
async def path(
    request: pytest.FixtureRequest, kallback_stack: Stack, topic_names: Topics, topics_factory: TopicFactory
) -> AsyncGenerator[TaskPath]:
    """A handler, a bridge, and a worker of one framework."""
    convention: Convention = request.param
    task_type: TaskType[str, Any] = TaskType(
        topics_factory("shout"), request=str, result=str, timeout=timedelta(minutes=1), convention=convention
    )
    told = read_conventions(f"{task_type.name}={text}" for text in TOLD)
    async with AsyncExitStack() as until:
        path = await open_task_path(kallback_stack, topic_names, topics_factory, until, task_type)
        await until.enter_async_context(Bridge(path.settings, BridgeOptions(conventions=told)))
        await until.enter_async_context(_running(work(path, convention)))
        yield path


@asynccontextmanager
async def _running(work: Any) -> AsyncGenerator[None]:
    running = asyncio.create_task(work)
    try:
        yield
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def test_a_framework_answers_and_fails_in_its_own_way(path: TaskPath) -> None:
    """The handler gets the value, and for the second task the words of the failure."""
    assert await path.call("soup") == "SOUP"
    with pytest.raises(RestateError, match="nothing to shout"):
        await path.call("")
