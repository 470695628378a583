"""Both completers against a real Restate: one suite, the same promises."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace

import pytest
import restate
from tests.integration.bridge.environment import ResultsTopic, WaitingHandler

from kallback.bridge import (
    Accepted,
    BridgeOptions,
    Completer,
    CompleterName,
    Completion,
    IngressCompleter,
    Misconfigured,
    NotifierCompleter,
    Rejected,
    Reply,
    Retry,
    complete,
)
from kallback.protocol import BareAwakeable, Completed, Failed, Keyring, service_names
from kallback.sdk import NotifierService
from kallback.settings import HttpVersion, RestateSettings
from kallback.testing import RestateOptions, RestateServer, start_restate
from kallback.testing.clients.service_endpoint import serve_endpoint
from kallback.testing.polling import eventually

pytestmark = pytest.mark.integration

KEYRING = Keyring({"k1": b"1" * 32})
AUDIENCE = "kallback-completers"
SERVICE = service_names(AUDIENCE).notifier
KINDS: dict[str, Callable[[RestateSettings], Completer]] = {
    "ingress": IngressCompleter,  # over HTTP/2
    "ingress over HTTP/1.1": lambda settings: IngressCompleter(replace(settings, http_version=HttpVersion.HTTP_1_1)),
    "notifier": lambda settings: NotifierCompleter(settings, SERVICE),
}


@pytest.fixture(scope="module")
async def notifier_service(restate_server: RestateServer, waiter_service: None) -> AsyncGenerator[None]:  # noqa: ARG001 - it has to be there
    """`NotifierService`, registered with the shared Restate; it takes bare awakeables."""
    service = NotifierService(KEYRING, AUDIENCE, allow_bare_awakeables=True)
    async with serve_endpoint(restate.app([service]), restate_server):
        yield


@dataclass
class Subject:
    """A started completer, and handlers that wait."""

    completer: Completer
    results: ResultsTopic

    async def complete(self, *batch: Completion) -> list[Reply]:
        """Send all, in as few sends as the completer can."""
        step = self.completer.batch_limit
        parts = [batch[at : at + step] for at in range(0, len(batch), step)]
        return [reply for part in parts for reply in await asyncio.wait_for(complete(self.completer, part), 60)]

    def completion(self, waiting: WaitingHandler, value: bytes = b"1") -> Completion:
        """What completes a handler that waits."""
        return Completion(KEYRING.sign(waiting.token, AUDIENCE), waiting.token, Completed(value))


@pytest.fixture(params=list(KINDS.values()), ids=list(KINDS))
async def subject(
    request: pytest.FixtureRequest,
    results: ResultsTopic,
    notifier_service: None,  # noqa: ARG001 - it has to be there
) -> AsyncGenerator[Subject]:
    """Each completer in turn."""
    completer = request.param(results.settings.restate)
    await completer.start()
    yield Subject(completer, results)
    await completer.stop()


async def test_values_arrive_as_they_were_sent(subject: Subject) -> None:
    """Long integers and trailing zeros, white space, other alphabets, `null`."""
    values = [b'{"n": 123456789012345678901234567890, "p": 1.10}', '"ü\\u00fc"'.encode(), b" null ", b"[]"]
    handlers = [await subject.results.waiting_handler() for _ in values]
    pairs = zip(handlers, values, strict=True)
    assert await subject.complete(*(subject.completion(*pair) for pair in pairs)) == [Accepted()] * 4
    for handler, value in zip(handlers, values, strict=True):
        assert value.strip() in (await handler.answer).encode()
        assert (await handler.envelope())["status"] == "completed"


async def test_failures_arrive_typed(subject: Subject) -> None:
    """As a resolved envelope that carries the problem."""
    handler = await subject.results.waiting_handler()
    problem = b'{"type":"OutOfStock","status":422,"detail":"no basil","left":1.10}'
    token = KEYRING.sign(handler.token, AUDIENCE)
    assert await subject.complete(Completion(token, handler.token, Failed(problem))) == [Accepted()]
    envelope = await handler.envelope()
    assert envelope["status"] == "failed"
    assert envelope["error"] == json.loads(problem)


async def test_a_bare_awakeable_gets_the_value_itself(subject: Subject) -> None:
    """Hand-written code knows no envelope."""
    handler = await subject.results.waiting_handler()
    target = BareAwakeable(handler.token.awakeable_id)
    assert await subject.complete(Completion(target.awakeable_id, target, Completed(b'{"a": 1.10}'))) == [Accepted()]
    assert await handler.answer == '{"a": 1.10}'


async def test_a_bare_failure_rejects(subject: Subject) -> None:
    """The handler's await raises, with the problem's detail."""
    handler = await subject.results.waiting_handler()
    target = BareAwakeable(handler.token.awakeable_id)
    failed = Failed(b'{"status":422,"detail":"no basil"}')
    assert await subject.complete(Completion(target.awakeable_id, target, failed)) == [Accepted()]
    with pytest.raises(Exception, match="no basil"):
        await handler.answer


async def test_the_first_completion_wins(subject: Subject) -> None:
    """Duplicates are accepted, and change nothing."""
    handler = await subject.results.waiting_handler()
    await subject.complete(subject.completion(handler, b'"first"'))
    duplicates = [subject.completion(handler, b'"second"') for _ in range(3)]
    assert await subject.complete(*duplicates) == [Accepted()] * 3
    assert (await handler.envelope())["value"] == "first"


async def test_five_hundred_at_once(subject: Subject) -> None:
    """All are accepted."""
    batch = [
        Completion(KEYRING.sign(token, AUDIENCE), token, Completed(b"1"))
        for token in (subject.results.token() for _ in range(500))
    ]
    assert await subject.complete(*batch) == [Accepted()] * 500


async def test_one_bad_among_many(subject: Subject) -> None:
    """An awakeable id that Restate refuses is rejected, its neighbours arrive."""
    handlers = [await subject.results.waiting_handler() for _ in range(2)]
    reserved = "sign_1" + base64.urlsafe_b64encode(b"x" * 10).decode().rstrip("=")
    target = BareAwakeable(reserved)  # type: ignore[arg-type] # wrong on purpose
    bad = Completion(reserved, target, Completed(b"1"))
    batch = [subject.completion(handlers[0]), bad, subject.completion(handlers[1])]
    first, refused, last = await subject.complete(*batch)
    assert (first, last) == (Accepted(), Accepted())
    assert isinstance(refused, Rejected | Misconfigured)
    for handler in handlers:
        assert (await handler.envelope())["value"] == 1


async def test_too_large(subject: Subject) -> None:
    """Larger than Restate takes, in the midst of others: it alone is told so."""
    handlers = [await subject.results.waiting_handler() for _ in range(2)]
    token = subject.results.token()
    huge = Completion(KEYRING.sign(token, AUDIENCE), token, Completed(b'"' + b"x" * 34_000_000 + b'"'))
    replies = await subject.complete(subject.completion(handlers[0]), huge, subject.completion(handlers[1]))
    assert [reply.label for reply in replies] == ["202", "413", "202"]
    for handler in handlers:
        assert (await handler.envelope())["value"] == 1


@pytest.mark.parametrize("make", KINDS.values(), ids=KINDS.keys())
async def test_restate_unavailable_and_back(
    make: Callable[[RestateSettings], Completer], results: ResultsTopic
) -> None:
    """Away is a retry; the same completer gets through when it is back."""
    async with AsyncExitStack() as until:
        context = start_restate(RestateOptions())
        server = await asyncio.to_thread(context.__enter__)
        until.push_async_callback(asyncio.to_thread, context.__exit__, None, None, None)
        await _away_and_back(make, server, results)


async def _away_and_back(
    make: Callable[[RestateSettings], Completer], server: RestateServer, results: ResultsTopic
) -> None:
    completer = make(RestateSettings(server.ingress_url, server.admin_url, request_timeout=5.0))
    await completer.start()
    token = results.token()
    item = Completion(KEYRING.sign(token, AUDIENCE), token, Completed(b"1"))
    service = NotifierService(KEYRING, AUDIENCE)
    async with serve_endpoint(restate.app([service]), server):
        assert list(await complete(completer, [item])) == [Accepted()]
        await asyncio.to_thread(server.kill)
        (away,) = await complete(completer, [item])
        assert isinstance(away, Retry)
        await asyncio.to_thread(server.start)

        async def accepted() -> bool:
            return list(await complete(completer, [item])) == [Accepted()]

        await eventually("the completion", accepted)
    await completer.stop()


async def test_a_service_with_other_keys(
    restate_server: RestateServer,
    results: ResultsTopic,
    notifier_service: None,  # noqa: ARG001 - it has to be there
) -> None:
    """It believes nothing, so the bridge is told what to set; nothing is lost."""
    completer = NotifierCompleter(RestateSettings(restate_server.ingress_url), SERVICE)
    await completer.start()
    token = results.token()
    (reply,) = await complete(
        completer, [Completion(Keyring({"k9": b"9" * 32}).sign(token, AUDIENCE), token, Completed(b"1"))]
    )
    await completer.stop()
    assert isinstance(reply, Misconfigured)
    assert "KALLBACK_KEYS" in reply.detail


async def test_a_bridge_with_the_notifier(results: ResultsTopic, restate_server: RestateServer) -> None:
    """From the results topic to the handler, in batches."""
    service = NotifierService(results.settings.keys.require(), results.settings.topics.results)
    async with serve_endpoint(restate.app([service]), restate_server):
        handlers = [await results.waiting_handler() for _ in range(20)]
        for handler in handlers:
            await results.complete(handler.token, b'{"shelf": "B3"}')
        async with results.bridge(BridgeOptions(completer=CompleterName.NOTIFIER)):
            await results.settle(20)
        for handler in handlers:
            assert (await handler.envelope())["value"] == {"shelf": "B3"}
    assert results.outcomes() == {"delivered": 20}


async def test_restate_speaks_http2(results: ResultsTopic) -> None:
    """Without TLS, and without being asked first: that is what the bridge counts on."""
    completer = IngressCompleter(results.settings.restate)
    await completer.start()
    token = results.token()
    await complete(completer, [Completion(KEYRING.sign(token, AUDIENCE), token, Completed(b"1"))])
    versions = completer._http._pool._versions
    await completer.stop()
    assert (versions.http2, versions.settled) == (True, True)
