"""Every kind of bad result: a clear outcome, the record kept byte for byte, and the next one is delivered."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from tests.integration.bridge.environment import RunningBridge

from kallback.protocol import Keyring

pytestmark = pytest.mark.integration

RESERVED = "sign_1" + "A" * 32 + "AAAAAQ"
ALIAS = "sign_1" + "A" * 32 + "AAAAER"

Headers = list[tuple[str, bytes]]
UNVERIFIED: dict[str, tuple[str, Callable[[Any], Headers]]] = {
    "no token": ("no-token", lambda _: []),
    "garbage token": ("malformed-token", lambda _: [("kallback-token", b"garbage")]),
    "non-UTF-8 header": ("malformed-token", lambda _: [("kallback-token", b"\xff\xfe\x00")]),
    "wrong tag": ("wrong-tag", lambda it: [("kallback-token", it.sign()[:-22].encode() + b"A" * 22)]),
    "unknown key": (
        "unknown-key",
        lambda it: [("kallback-token", it.sign(keyring=Keyring({"k9": b"9" * 32})).encode())],
    ),
    "published key": ("unknown-key", lambda it: [("kallback-token", it.sign(keyring=Keyring.insecure()).encode())]),
    "another results topic": ("wrong-tag", lambda it: [("kallback-token", it.sign(audience="other").encode())]),
    "reserved signal": ("reserved-signal", lambda it: [("kallback-token", it.sign(it.token(RESERVED)).encode())]),
    "alias of an id": ("invalid-awakeable-id", lambda it: [("kallback-token", it.sign(it.token(ALIAS)).encode())]),
    "bare awakeable": ("bare-awakeable", lambda it: [("kallback-token", it.token().awakeable_id.encode())]),
    "contradicting tokens": (
        "ambiguous-token",
        lambda it: [("kallback-token", it.sign().encode()), ("kallback-token", it.sign().encode())],
    ),
}


@pytest.mark.parametrize("case", UNVERIFIED)
async def test_unverified(running: RunningBridge, case: str) -> None:
    """Dead-lettered whole, with the reason; the outcome names no task."""
    reason, make = UNVERIFIED[case]
    headers = make(running.results)
    position = await running.results.send(b'{"some":"value"}', *headers)

    outcome = await running.outcome(position)
    letter = await running.dead_letter(position)

    assert (outcome["outcome"], outcome["reason"]) == ("unverified", reason)
    assert "task" not in outcome
    assert letter.value == b'{"some":"value"}'
    assert letter.headers[: len(headers)] == tuple(headers)
    assert dict(letter.headers)["kallback-dead-reason"] == reason.encode()


async def test_a_tombstone(running: RunningBridge) -> None:
    """Neither value nor headers: dead-lettered, not a crash."""
    position = await running.results.send(None)
    assert (await running.outcome(position))["reason"] == "no-token"
    assert (await running.dead_letter(position)).value is None


UNUSABLE: dict[str, tuple[str, bytes, Headers]] = {
    "not JSON": ("not-json", b"done!", []),
    "broken UTF-8": ("not-json", b'"\xff"', []),
    "deep nesting": ("not-json", b"[" * 100_000, []),
    "unknown status": ("unknown-status", b"1", [("kallback-status", b"finished")]),
    "non-UTF-8 status": ("unknown-status", b"1", [("kallback-status", b"\xff")]),
    "contradicting statuses": (
        "ambiguous-status",
        b"1",
        [("kallback-status", b"completed"), ("kallback-status", b"failed")],
    ),
    "no problem object": ("not-a-problem", b"[1]", [("kallback-status", b"failed")]),
}


@pytest.mark.parametrize("case", UNUSABLE)
async def test_unusable(running: RunningBridge, case: str) -> None:
    """The handler fails at once with a problem of our type; the record is dead-lettered whole."""
    reason, value, headers = UNUSABLE[case]
    waiting = await running.results.waiting_handler()
    token = ("kallback-token", running.results.sign(waiting.token).encode())
    position = await running.results.send(value, token, *headers)

    outcome = await running.outcome(position)
    envelope = await waiting.envelope()

    assert (outcome["outcome"], outcome["reason"], outcome["task"]) == ("unusable", reason, waiting.token.task_id)
    assert envelope["error"]["type"] == "urn:kallback:unusable-result"
    assert (await running.dead_letter(position)).value == value


async def test_unknown_version_of_structured_mode(running: RunningBridge) -> None:
    """A newer worker's envelope is not guessed at."""
    waiting = await running.results.waiting_handler()
    value = {"kallback": {"version": 2, "token": running.results.sign(waiting.token)}, "data": 1}
    position = await running.results.send(json.dumps(value).encode())

    assert (await running.outcome(position))["reason"] == "unknown-version"
    assert (await waiting.envelope())["error"]["type"] == "urn:kallback:unusable-result"


async def test_late(running: RunningBridge) -> None:
    """After deadline and grace: dead-lettered, nothing posted."""
    waiting = await running.results.waiting_handler(deadline=-31)
    position = await running.results.complete(waiting.token)

    outcome = await running.outcome(position)

    assert (outcome["outcome"], outcome["reason"], outcome["task"]) == ("late", "late", waiting.token.task_id)
    assert not waiting.answer.done()
    assert (await running.dead_letter(position)).value == b'{"ok":true}'
    await running.results.ingress.resolve(waiting.token.awakeable_id, "cleaned up")
    await waiting.answer


async def test_poison_among_good_ones(running: RunningBridge) -> None:
    """Bad records of every kind between good ones: each good one resumes its handler."""
    waiting = [await running.results.waiting_handler() for _ in range(10)]
    for number, (_, make) in enumerate(UNVERIFIED.values()):
        await running.results.send(b"1", *make(running.results))
        if number < len(waiting):
            await running.results.complete(waiting[number].token, str(number).encode())
    assert [(await each.envelope())["value"] for each in waiting] == list(range(10))
