"""What goes into an application with a codec is encoded, and what its handlers return is decoded."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import pytest
from tests.unit.bridge.hostile_server import HostileServer

from kallback.bridge.restate.client import RestateHttp
from kallback.bridge.restate.requests import HttpAnswer, HttpResult
from kallback.bridge.restate.value_codec import load_codec
from kallback.protocol import ConfigurationError, RestateUnavailableError
from kallback.settings import RestateSettings

HERE = "tests.unit.bridge.restate.test_value_codec"


class PanicError(BaseException):
    """As a cipher written in Rust raises: no `Exception`."""


class Reversed:
    """A codec that shows what it was applied to."""

    def encode(self, buf: bytes) -> bytes:
        """Backwards."""
        if buf == b"broken":
            raise ValueError("a secret of the value")
        if buf == b"panic":
            raise PanicError("a secret of the value")
        return buf[::-1]

    async def decode(self, buf: bytes) -> bytes:
        """Forwards again."""
        if buf == b"broken":
            raise ValueError("a secret of the value")
        if buf == b"panic":
            raise PanicError("a secret of the value")
        return buf[::-1]


class Waits(Reversed):
    """A codec that never finishes."""

    def __init__(self) -> None:
        self.begun = asyncio.Event()

    async def decode(self, buf: bytes) -> bytes:
        """Wait."""
        self.begun.set()
        await asyncio.Event().wait()
        return buf


class Plain:
    """A codec as one writes it who has not read the interface."""

    def encode(self, buf: bytes) -> bytes:
        """Backwards."""
        return buf[::-1]

    def decode(self, buf: bytes) -> bytes:
        """Forwards again, and not awaitable."""
        return buf[::-1]


class LateEncoder(Reversed):
    """Both methods are coroutines."""

    async def encode(self, buf: bytes) -> bytes:  # type: ignore[override]
        """Backwards."""
        return buf[::-1]


class Away(Plain):
    """Its key server is away."""

    def encode(self, buf: bytes) -> bytes:
        """Fail."""
        raise OSError(buf)


plain, late_encoder, away = Plain(), LateEncoder(), Away()
codec, waits, nothing = Reversed(), Waits(), object()
built: list[Reversed] = []


async def provider() -> Reversed:
    """Build it."""
    built.append(Reversed())
    return built[-1]


def plain_provider() -> Reversed:
    """Build it without waiting for anything."""
    return codec


@asynccontextmanager
async def client(url: str, name: str = "codec") -> AsyncGenerator[RestateHttp]:
    """A started client with this codec; none for an empty name."""
    target = f"{HERE}:{name}" if name else ""
    http = RestateHttp(RestateSettings(url, journal_value_codec=target), connections=2)
    await http.start()
    try:
        yield http
    finally:
        await http.stop()


def posted(http: RestateHttp, value: bytes, *, returns_value: bool = False) -> asyncio.Future[HttpResult]:
    """Post a value; the future has what was told."""
    came: asyncio.Future[HttpResult] = asyncio.get_running_loop().create_future()
    http.post_value("/x", value, content_type="text/plain", on_result=came.set_result, returns_value=returns_value)
    return came


def http_answer(status: int, body: bytes) -> bytes:
    """An answer."""
    return b"HTTP/1.1 %d X\r\ncontent-length: %d\r\n\r\n%b" % (status, len(body), body)


@pytest.mark.parametrize(("name", "sent"), [("codec", b"cba"), ("", b"abc")])
async def test_a_value_is_encoded_if_there_is_a_codec(hostile: HostileServer, name: str, sent: bytes) -> None:
    """What is no value, such as the text of a rejection, is not."""
    hostile.answers(http_answer(202, b"plain"))
    async with client(hostile.url, name) as http:
        assert await posted(http, b"abc") == HttpAnswer(202, None, b"plain")
    assert hostile.requests[-1].endswith(b"\r\n\r\n" + sent)


@pytest.mark.parametrize(("status", "body"), [(200, b"abc"), (400, b"cba")])
async def test_what_a_handler_returns_is_decoded(hostile: HostileServer, status: int, body: bytes) -> None:
    """Failures are never encoded."""
    hostile.answers(http_answer(status, b"cba"))
    async with client(hostile.url) as http:
        assert await posted(http, b"", returns_value=True) == HttpAnswer(status, None, body)
        assert await http.get_value("/x") == HttpAnswer(status, None, body)


async def test_without_a_codec_an_answer_stays_as_it_is(hostile: HostileServer) -> None:
    """Nothing is decoded."""
    hostile.answers(http_answer(200, b"abc"))
    async with client(hostile.url, "") as http:
        assert await posted(http, b"", returns_value=True) == HttpAnswer(200, None, b"abc")
        assert await http.get_value("/x") == HttpAnswer(200, None, b"abc")


@pytest.mark.parametrize(("value", "error"), [(b"broken", "ValueError"), (b"panic", "PanicError")])
async def test_a_codec_that_fails_is_an_unavailable_restate(hostile: HostileServer, value: bytes, error: str) -> None:
    """The result waits; what the codec says is not repeated, because it may quote the value."""
    hostile.answers(http_answer(200, value))
    async with client(hostile.url) as http:
        for failed in (posted(http, value), posted(http, b"", returns_value=True)):
            result = await failed
            assert isinstance(result, RestateUnavailableError)
            assert f"code a value ({error})" in str(result)
            assert "secret" not in str(result)


async def test_no_answer_is_passed_on_as_it_is() -> None:
    """There is nothing to decode."""
    async with client("http://127.0.0.1:9") as http:
        assert isinstance(await posted(http, b"", returns_value=True), RestateUnavailableError)


async def test_a_stop_tells_each_caller(hostile: HostileServer) -> None:
    """Also one whose answer is still being decoded."""
    hostile.answers(http_answer(200, b"abc"))
    async with client(hostile.url, "waits") as http:
        waiting = posted(http, b"", returns_value=True)
        await waits.begun.wait()
    assert isinstance(await waiting, RestateUnavailableError)


async def test_a_provider_builds_the_codec_once() -> None:
    """It may ask a key server."""
    built.clear()
    first = await load_codec(f"{HERE}:provider")
    assert [first] == built
    assert await load_codec(f"{HERE}:provider") is first
    assert await load_codec(f"{HERE}:plain_provider") is codec
    assert await load_codec("") is None


@pytest.mark.parametrize(
    ("target", "sentence"),
    [
        ("codec", "write MODULE:NAME"),
        (":codec", "write MODULE:NAME"),
        (f"{HERE}:a()", "write MODULE:NAME"),
        (f"{HERE}:missing", "names no codec"),
        (f"{HERE}:nothing", "names no codec"),
        (f"{HERE}:Unusable", "names no codec"),
        (f"{HERE}:plain", "decode of the codec is an ordinary function.*write `async def decode`"),
        (f"{HERE}:late_encoder", "encode of the codec is a coroutine"),
        ("nowhere_at_all:codec", r"cannot be imported \(ModuleNotFoundError"),
    ],
)
async def test_what_is_no_codec_is_refused(target: str, sentence: str) -> None:
    """The sentence names the variable."""
    with pytest.raises(ConfigurationError, match=f"KALLBACK_RESTATE_JOURNAL_VALUE_CODEC=.*{sentence}"):
        await load_codec(target)


async def test_a_codec_whose_key_server_is_away_is_no_reason_not_to_start() -> None:
    """It may come back; until then results wait."""
    found: object = await load_codec(f"{HERE}:away")
    assert found is away


async def test_a_provider_that_fails_ends_the_start_with_a_sentence() -> None:
    """It names the class of the error alone: a key server's words may be secret."""
    for name in ("failing_provider", "failing_plain_provider"):
        with pytest.raises(ConfigurationError, match=rf"{name}': the provider raised OSError") as caught:
            await load_codec(f"{HERE}:{name}")
        assert "hunter2" not in str(caught.value)


def failing_plain_provider() -> Reversed:
    """Its key server does not answer."""
    raise OSError("no answer for hunter2")


async def failing_provider() -> Reversed:
    """The same, while it is awaited."""
    return failing_plain_provider()


class Unusable:
    """A class is called like a provider, and what it makes is no codec."""
