"""Batches to `NotifierService`, on a server of HTTP that answers what a test says about each item."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from tests.unit.bridge.factories import RecordFactory
from tests.unit.bridge.hostile_server import HostileServer

from kallback.bridge import (
    Accepted,
    Completion,
    Misconfigured,
    NotifierCompleter,
    Rejected,
    Reply,
    Retry,
    TooLarge,
    complete,
)
from kallback.bridge.completers import notifier as module
from kallback.protocol import BareAwakeable, Completed, Failed
from kallback.settings import RestateSettings

Answer = Callable[[list[dict[str, Any]]], tuple[int, object] | None]


@dataclass
class Service:
    """Stands in for the service: answers a status and a body for a batch; None means never."""

    completer: NotifierCompleter
    make: RecordFactory
    answer: Answer = lambda batch: (200, [{"outcome": "delivered"} for _ in batch])
    batches: list[list[dict[str, Any]]] = field(default_factory=list[list[dict[str, Any]]])

    def item(self, value: bytes = b"1") -> Completion:
        """A completion of its own."""
        token = self.make.token()
        return Completion(self.make.sign(token), token, Completed(value))

    async def complete(self, *batch: Completion) -> list[Reply]:
        """Send a batch."""
        return list(await asyncio.wait_for(complete(self.completer, batch), 10))

    def sizes(self) -> list[int]:
        """Of the batches so far."""
        return [len(batch) for batch in self.batches]


def refuses(bad: bytes, status: int, body: object = None) -> Answer:
    """Refuse every batch that holds this value."""

    def answer(batch: list[dict[str, Any]]) -> tuple[int, object] | None:
        if any(item["value"] == json.loads(bad) for item in batch):
            return None if status == 0 else (status, body or {"code": status, "message": "no"})
        return 200, [{"outcome": "delivered"} for _ in batch]

    return answer


@pytest.fixture
async def service(hostile: HostileServer, make: RecordFactory) -> AsyncGenerator[Service]:
    """A completer and the service it talks to."""
    completer = NotifierCompleter(RestateSettings(hostile.url, request_timeout=0.5))
    service = Service(completer, make)

    async def script(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        service.batches.append(json.loads(hostile.requests[-1].partition(b"\r\n\r\n")[2]))
        answer = service.answer(service.batches[-1])
        if answer is None:
            await asyncio.sleep(60)
            return
        body = answer[1] if isinstance(answer[1], bytes) else json.dumps(answer[1]).encode()
        writer.write(b"HTTP/1.1 %d X\r\ncontent-length: %d\r\n\r\n%b" % (answer[0], len(body), body))
        await writer.drain()

    hostile.script = script
    await completer.start()
    yield service
    await completer.stop()


async def test_a_batch_is_one_request(service: Service, hostile: HostileServer) -> None:
    """Items in order, the values spliced as they are."""
    price, failed = service.item(b'{"price": 1.10}'), service.make.token()
    problem = Completion(service.make.sign(failed), failed, Failed(b'{"status":422}'))
    assert await service.complete(price, problem) == [Accepted(), Accepted()]

    head, _, body = hostile.requests[0].partition(b"\r\n\r\n")
    assert head.startswith(b"POST /NotifierService/ack_many HTTP/1.1\r\n")
    assert body == (
        b'[{"token":"%b","status":"completed","value":{"price": 1.10}},{"token":"%b","status":"failed","error":'
        b'{"status":422}}]' % (price.token.encode(), problem.token.encode())
    )


async def test_a_bare_awakeable_is_its_own_token(service: Service) -> None:
    """The id stands where the token would."""
    target = BareAwakeable(service.make.token().awakeable_id)
    await service.complete(Completion(target.awakeable_id, target, Completed(b"1")))
    assert service.batches[0][0]["token"] == target.awakeable_id


@pytest.mark.parametrize(
    ("verdict", "expected"),
    [
        ({"outcome": "delivered"}, Accepted),
        ({"outcome": "unusable", "reason": "not-json", "detail": "x"}, Rejected),
        ({"outcome": "rejected"}, Rejected),
        ({"outcome": "unverified", "reason": "reserved-signal"}, Rejected),
        ({"outcome": "unverified", "reason": "wrong-tag"}, Misconfigured),
        ({"outcome": "unverified", "reason": "unknown-key"}, Misconfigured),
        ({"outcome": "new word"}, Retry),
    ],
)
async def test_verdicts(service: Service, verdict: dict[str, str], expected: type) -> None:
    """Each verdict means one reply, and touches no other item."""
    service.answer = lambda _: (200, [{"outcome": "delivered"}, verdict])
    good, other = await service.complete(service.item(), service.item())
    assert isinstance(good, Accepted)
    assert isinstance(other, expected)


@pytest.mark.parametrize("answer", [b"", b"{}", b"[]", b'[{"outcome":1}]', b"[" * 9999, b'[{"outcome":"delivered"}'])
async def test_answers_that_are_no_verdicts(service: Service, answer: bytes) -> None:
    """Nothing is known, so nothing is lost."""
    service.answer = lambda _: (200, answer)
    assert all(isinstance(reply, Retry) for reply in await service.complete(service.item(), service.item()))


@pytest.mark.parametrize(("status", "expected"), [(400, Rejected), (413, TooLarge), (500, Retry)])
async def test_one_bad_item_among_many(service: Service, status: int, expected: type) -> None:
    """A batch that is refused because of one item is halved until that one stands alone."""
    service.answer = refuses(b'"bad"', status)
    batch = [service.item() for _ in range(100)]
    batch[37] = service.item(b'"bad"')
    replies = await service.complete(*batch)
    assert isinstance(replies.pop(37), expected)
    assert replies == [Accepted()] * 99
    assert len(service.batches) < 20


@pytest.mark.parametrize("status", [401, 422, 429, 502, 503, 504])
async def test_refusals_that_are_about_no_item(service: Service, status: int) -> None:
    """Halving would not help, so it is not tried."""
    service.answer = lambda _: (status, {"code": status, "message": "no"})
    replies = await service.complete(*(service.item() for _ in range(10)))
    assert all(isinstance(reply, Retry | Misconfigured) for reply in replies)
    assert service.sizes() == [10]


async def test_halving_has_an_end(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """A service that refuses everything is not asked a thousand times."""
    monkeypatch.setattr(module, "REQUESTS", 8)
    service.answer = lambda _: (500, {"code": 500, "message": "broken"})
    replies = await service.complete(*(service.item() for _ in range(100)))
    assert all(isinstance(reply, Retry) for reply in replies)
    assert len(service.batches) == 8


async def test_a_timeout_is_an_items_own_only_when_it_stands_alone(service: Service) -> None:
    """What waits behind a call that times out was not even sent: neither it nor that call's items are given up."""
    service.answer = refuses(b'"bad"', 0)
    bad = service.item(b'"bad"')
    together = await service.complete(bad, *(service.item() for _ in range(20)))
    (alone,) = await service.complete(bad)
    assert isinstance(alone, Retry)
    assert not alone.shared
    assert all(isinstance(reply, Retry) and reply.shared for reply in together)


async def test_a_batch_that_times_out_goes_in_smaller_company(service: Service) -> None:
    """The next time by sixteens, then alone: the neighbours get through."""
    service.answer = refuses(b'"bad"', 0)
    batch = [service.item() for _ in range(40)]
    batch[20] = service.item(b'"bad"')
    assert all(isinstance(reply, Retry) and reply.overloaded for reply in await service.complete(*batch))

    for _ in range(20):
        replies = await service.complete(*batch)
        batch = [each for each, reply in zip(batch, replies, strict=True) if not isinstance(reply, Accepted)]
        if len(batch) == 1:
            break
    assert [each.answer for each in batch] == [Completed(b'"bad"')]
    assert max(service.sizes()[1:]) == 16
    assert sum(answer is None for answer in map(service.answer, service.batches)) <= 4


async def test_company_is_forgotten_once_it_is_answered(service: Service) -> None:
    """And what is remembered is bounded."""
    item = service.item()
    service.completer.timed_out([item])
    assert service.completer.company(item) == 0
    await service.complete(item)
    assert service.completer.company(item) == module.BATCH


async def test_memory_of_company_is_bounded(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """A Restate that hangs for long makes everybody a suspect, so nobody is one."""
    monkeypatch.setattr(module, "_SUSPECTS", 10)
    first = service.item()
    service.completer.timed_out([first])
    service.completer.timed_out([service.item() for _ in range(10)])
    assert service.completer.company(first) == module.BATCH


async def test_large_items_are_spread_over_requests(service: Service) -> None:
    """A request stays near its bytes; an item that is larger goes alone."""
    value = b'"' + b"x" * (module.BATCH_BYTES // 3) + b'"'
    huge = b'"' + b"x" * (module.BATCH_BYTES * 2) + b'"'
    replies = await service.complete(*(service.item(each) for each in (value, value, value, huge, value)))
    assert replies == [Accepted()] * 5
    assert service.sizes() == [2, 1, 1, 1]


async def test_a_missing_service(service: Service) -> None:
    """The sentence says what to bind."""
    service.answer = lambda _: (404, {"code": 404, "message": "service 'NotifierService' not found"})
    (reply,) = await service.complete(service.item())
    assert isinstance(reply, Misconfigured)
    assert "callbacks.app([...])" in reply.detail
    assert "register" in reply.detail
