"""Verdicts of `NotifierService`, with a context that only writes down what it is asked to do."""

from __future__ import annotations

import base64
import json
from datetime import timedelta
from typing import Any

import pytest
from restate import TerminalError

from kallback.protocol import Attempt, AwakeableId, Completed, Failed, Keyring, TaskId, Token, open_envelope
from kallback.sdk import NotifierService

AUDIENCE = "kallback.results"
KEYS = Keyring.insecure()


def awakeable(index: int = 17) -> AwakeableId:
    """An awakeable id with this signal index."""
    raw = bytes(24) + index.to_bytes(4, "big")
    return AwakeableId("sign_1" + base64.urlsafe_b64encode(raw).decode().rstrip("="))


TOKEN = KEYS.sign(Token("prepare", TaskId("A" * 16), Attempt(1), awakeable()), AUDIENCE)


class Context:
    """What the handlers use of Restate's context."""

    def __init__(self) -> None:
        self.resolved: list[tuple[str, bytes]] = []
        self.rejected: list[tuple[str, str, int]] = []

    def resolve_awakeable(self, name: str, value: bytes, _serde: Any) -> None:
        """Write it down."""
        self.resolved.append((name, value))

    def reject_awakeable(self, name: str, message: str, code: int) -> None:
        """Write it down."""
        self.rejected.append((name, message, code))


async def ack(ctx: Context, body: bytes, *, bare: bool = False, handler: str = "ack") -> Any:
    """Call a handler as Restate does."""
    service = NotifierService(KEYS, AUDIENCE, allow_bare_awakeables=bare)
    return json.loads(await service.handlers[handler].fn(ctx, body))  # type: ignore[call-arg] # `fn` may take a context only


async def test_an_item_without_status_is_completed() -> None:
    """The shortest item is a token and a value."""
    ctx = Context()
    assert await ack(ctx, b'{"token":"%b","value":1.10}' % TOKEN.encode()) == {"outcome": "delivered"}
    ((name, value),) = ctx.resolved
    assert (name, b'"value":1.10}' in value) == (awakeable(), True)


async def test_an_item_without_value_is_null() -> None:
    """Work without a result needs no value."""
    ctx = Context()
    await ack(ctx, b'{"token":"%b"}' % TOKEN.encode())
    answer = open_envelope(ctx.resolved[0][1]).answer
    assert isinstance(answer, Completed)
    assert answer.value == b"null"


@pytest.mark.parametrize("body", [b"", b"17", b"[]", b"{}", b'{"token":1}', b"[" * 100_000, b'{"token":"\xff"}'])
async def test_what_is_no_item_gets_a_verdict(body: bytes) -> None:
    """No bytes make the handler fail."""
    ctx = Context()
    verdict = await ack(ctx, body)
    assert (verdict["outcome"], verdict["reason"], ctx.resolved) == ("unverified", "no-token", [])


async def test_a_token_of_another_audience_is_unverified() -> None:
    """A token is good on one results topic only."""
    other = KEYS.sign(KEYS.verify(TOKEN, AUDIENCE), "other.results")
    assert (await ack(Context(), b'{"token":"%b"}' % other.encode()))["reason"] == "wrong-tag"


async def test_a_signed_reserved_index_is_refused() -> None:
    """Not even our own signature lets a completion cancel an invocation."""
    reserved = KEYS.sign(Token("prepare", TaskId("A" * 16), Attempt(1), awakeable(1)), AUDIENCE)
    ctx = Context()
    assert (await ack(ctx, b'{"token":"%b"}' % reserved.encode()))["reason"] == "reserved-signal"
    assert ctx.resolved == []


async def test_an_unusable_value_fails_the_task() -> None:
    """Nobody waits for the deadline of a task whose result is no result."""
    ctx = Context()
    verdict = await ack(ctx, b'{"token":"%b","status":"perhaps","value":1}' % TOKEN.encode())
    assert (verdict["outcome"], verdict["reason"]) == ("unusable", "unknown-status")
    answer = open_envelope(ctx.resolved[0][1]).answer
    assert isinstance(answer, Failed)
    assert answer.problem().type == "urn:kallback:unusable-result"


async def test_a_bare_value_that_is_unusable_completes_nothing() -> None:
    """A bare awakeable has no envelope to carry a failure of ours."""
    ctx = Context()
    item = b'{"token":"%b","status":"perhaps","value":1}' % awakeable().encode()
    assert (await ack(ctx, item, bare=True))["outcome"] == "unusable"
    assert (ctx.resolved, ctx.rejected) == ([], [])


async def test_a_bare_failure_keeps_its_code() -> None:
    """Restate's HTTP reject would make it 500."""
    ctx = Context()
    item = b'{"token":"%b","status":"failed","error":{"status":404,"title":"No driver"}}' % awakeable().encode()
    assert await ack(ctx, item, bare=True) == {"outcome": "delivered"}
    assert ctx.rejected == [(awakeable(), "No driver", 404)]


async def test_verdicts_stand_in_the_order_of_the_items() -> None:
    """One verdict an item, the good ones delivered."""
    ctx = Context()
    verdicts = await ack(ctx, b'[1,{"token":"%b"},{"token":"x"}]' % TOKEN.encode(), handler="ack_many")
    assert [verdict["outcome"] for verdict in verdicts] == ["unverified", "delivered", "unverified"]
    assert len(ctx.resolved) == 1


async def test_an_empty_batch_has_no_verdicts() -> None:
    """Nothing to do is fine."""
    assert await ack(Context(), b"[]", handler="ack_many") == []


@pytest.mark.parametrize("body", [b"", b"{}", b"[1", b"[" * 100_000])
async def test_a_body_that_is_no_array_is_terminal(body: bytes) -> None:
    """It cannot be taken apart, and trying again does not help."""
    with pytest.raises(TerminalError) as caught:
        await ack(Context(), body, handler="ack_many")
    assert caught.value.status_code == 400


def test_restate_keeps_no_batch() -> None:
    """Retention 0, under the name that the bridge calls."""
    service = NotifierService(KEYS, AUDIENCE)
    assert (service.name, service.journal_retention, service.idempotency_retention) == (
        "NotifierService",
        timedelta(0),
        timedelta(0),
    )
