"""Error replies of worker frameworks reach the waiting handlers as failures, with the framework's words."""

from __future__ import annotations

import json
from typing import Any, Final

import pytest
from tests.integration.bridge.environment import ResultsTopic, RunningBridge

from kallback.bridge import BridgeOptions
from kallback.protocol import read_conventions

pytestmark = pytest.mark.integration

Headers = dict[str, bytes]
ERRORS: Final[dict[str, tuple[str, bytes | None, Headers]]] = {
    "spring": ("kafka_correlationId", b'"FAILED"', {"serverSentAnError": b"no basil"}),
    "nestjs": ("kafka_correlationId", None, {"kafka_nest-err": b'{"status":"error","message":"no basil"}'}),
    "spring gave up": (
        "kallback-token",
        b'{"id":"o-1"}',
        {"kafka_dlt-exception-fqcn": b"com.example.OutOfStock", "kafka_dlt-exception-message": b"no basil"},
    ),
    "smallrye gave up": (
        "kallback-token",
        b'{"id":"o-1"}',
        {"dead-letter-exception-class-name": b"com.example.OutOfStock", "dead-letter-reason": b"no basil"},
    ),
    "spring cloud stream gave up": (
        "kallback-token",
        b'{"id":"o-1"}',
        {"x-exception-fqcn": b"com.example.OutOfStock", "x-exception-message": b"no basil"},
    ),
    "smallrye": ("REPLY_CORRELATION_ID", b"null", {"REPLY_ERROR": b"no basil"}),
    "cloudevents": ("ce_correlationid", b'{"detail":"no basil"}', {"ce_kallbackstatus": b"failed"}),
}


@pytest.mark.parametrize("framework", ERRORS)
async def test_an_error_reply_is_a_failure(running: RunningBridge, framework: str) -> None:
    """Nothing but the framework's own headers says so."""
    correlation_id, value, headers = ERRORS[framework]
    waiting = await running.results.waiting_handler()
    token = running.results.sign(waiting.token).encode()

    await running.results.send(value, (correlation_id, token), *headers.items())

    envelope = await waiting.envelope()
    assert envelope["status"] == "failed"
    assert "no basil" in envelope["error"]["detail"]


@pytest.mark.parametrize(
    ("correlation_id", "headers", "value", "result"),
    [
        ("correlation_id", {"content-type": b"text/plain"}, b"12", "12"),
        ("REPLY_CORRELATION_ID", {}, b'{"minutes":12}', {"minutes": 12}),
        ("kafka_correlationId", {"kafka_nest-is-disposed": b"\0"}, b"ready", "ready"),
    ],
)
async def test_a_reply_is_a_result(
    running: RunningBridge, correlation_id: str, headers: Headers, value: bytes, result: object
) -> None:
    """Texts come without quotes from FastStream and NestJS."""
    waiting = await running.results.waiting_handler()
    token = running.results.sign(waiting.token).encode()
    await running.results.send(value, (correlation_id, token), *headers.items())
    assert (await waiting.envelope())["value"] == result


async def test_a_cloudevent_in_structured_mode(running: RunningBridge) -> None:
    """Its correlationid is the token, its data the result."""
    waiting = await running.results.waiting_handler()
    event: dict[str, Any] = {"specversion": "1.0", "id": "e-1", "source": "/kitchen", "type": "prepared"}
    event |= {"correlationid": running.results.sign(waiting.token), "data": {"minutes": 12}}
    await running.results.send(json.dumps(event).encode(), ("content-type", b"application/cloudevents+json"))
    assert (await waiting.envelope())["value"] == {"minutes": 12}


async def test_an_error_header_that_the_bridge_was_told(results: ResultsTopic) -> None:
    """The application chose its name; for other types it says nothing."""
    waiting = await results.waiting_handler()
    token = results.sign(waiting.token).encode()
    await results.send(b'"FAILED"', ("kafka_correlationId", token), ("x-error", b"no basil"))
    chosen = read_conventions([f"{waiting.token.task_type}=spring:x-error"])
    async with results.bridge(BridgeOptions(conventions=chosen)):
        await results.settle(1)
    assert (await waiting.envelope())["error"]["detail"] == "no basil: FAILED"
