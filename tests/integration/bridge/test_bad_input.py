"""Every kind of bad result: a clear outcome, the record kept byte for byte, and the next one is delivered."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

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
async def test_unverified(house: Any, case: str) -> None:
    """Dead-lettered whole, with the reason; the outcome names no task."""
    reason, make = UNVERIFIED[case]
    headers = make(house.live)
    position = await house.live.send(b'{"some":"value"}', *headers)

    outcome = await house.outcome(position)
    letter = await house.dead(position)

    assert (outcome["outcome"], outcome["reason"]) == ("unverified", reason)
    assert "task" not in outcome
    assert letter.value == b'{"some":"value"}'
    assert letter.headers[: len(headers)] == tuple(headers)
    assert dict(letter.headers)["kallback-dead-reason"] == reason.encode()


async def test_a_tombstone(house: Any) -> None:
    """Neither value nor headers: dead-lettered, not a crash."""
    position = await house.live.send(None)
    assert (await house.outcome(position))["reason"] == "no-token"
    assert (await house.dead(position)).value is None


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
async def test_unusable(house: Any, case: str) -> None:
    """The handler fails at once with a problem of our type; the record is dead-lettered whole."""
    reason, value, headers = UNUSABLE[case]
    waiting = await house.live.waiting()
    token = ("kallback-token", house.live.sign(waiting.token).encode())
    position = await house.live.send(value, token, *headers)

    outcome = await house.outcome(position)
    envelope = await waiting.envelope()

    assert (outcome["outcome"], outcome["reason"], outcome["task"]) == ("unusable", reason, waiting.token.task_id)
    assert envelope["error"]["type"] == "urn:kallback:unusable-result"
    assert (await house.dead(position)).value == value


async def test_unknown_version_of_structured_mode(house: Any) -> None:
    """A newer worker's envelope is not guessed at."""
    waiting = await house.live.waiting()
    value = {"kallback": {"version": 2, "token": house.live.sign(waiting.token)}, "data": 1}
    position = await house.live.send(json.dumps(value).encode())

    assert (await house.outcome(position))["reason"] == "unknown-version"
    assert (await waiting.envelope())["error"]["type"] == "urn:kallback:unusable-result"


async def test_late(house: Any) -> None:
    """After deadline and grace: dead-lettered, nothing posted."""
    waiting = await house.live.waiting(deadline=-31)
    position = await house.live.complete(waiting.token)

    outcome = await house.outcome(position)

    assert (outcome["outcome"], outcome["reason"], outcome["task"]) == ("late", "late", waiting.token.task_id)
    assert not waiting.answer.done()
    assert (await house.dead(position)).value == b'{"ok":true}'
    await house.live.ingress.resolve(waiting.token.awakeable_id, "cleaned up")
    await waiting.answer


async def test_poison_among_good_ones(house: Any) -> None:
    """Bad records of every kind between good ones: each good one resumes its handler."""
    waiting = [await house.live.waiting() for _ in range(10)]
    for number, (_, make) in enumerate(UNVERIFIED.values()):
        await house.live.send(b"1", *make(house.live))
        if number < len(waiting):
            await house.live.complete(waiting[number].token, str(number).encode())
    assert [(await each.envelope())["value"] for each in waiting] == list(range(10))
