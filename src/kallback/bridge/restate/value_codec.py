"""The codec of the services' journals: what Restate's SDK calls `journal_value_codec`, applied from outside.

An application that encrypts or compresses its journal decodes all that comes into it: results of awakeables, inputs of
handlers. So what a bridge sends there has to be encoded by the same codec. The object is the application's own, named
as MODULE:NAME; its class need not be known here.

The codec's code runs on the event loop, as it does in the application.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from typing import Final, Protocol, cast

import msgspec

from kallback.bridge.restate.requests import HttpAnswer, HttpResult, OnResult
from kallback.protocol import ConfigurationError, RestateUnavailableError
from kallback.settings.journal_codec import check_journal_codec, is_journal_codec
from kallback.settings.named_objects import named_object

VARIABLE: Final = "KALLBACK_RESTATE_JOURNAL_VALUE_CODEC"
_SUCCESS: Final = 200


class CodecFailedError(RestateUnavailableError):
    """The codec cannot encode or decode a value; Restate may well answer."""


class ValueCodec(Protocol):
    """A `restate.JournalValueCodec`."""

    def encode(self, buf: bytes) -> bytes:
        """Return what the journal keeps of a value."""
        ...

    async def decode(self, buf: bytes) -> bytes:
        """Return the value."""
        ...


class ValueCoder:
    """Encodes what is sent into an application, and decodes what its handlers return.

    Owns one asyncio task for each answer that is being decoded; `stop` ends them.
    """

    def __init__(self, codec: ValueCodec | None) -> None:
        self._codec = codec
        self._decoding: set[asyncio.Task[None]] = set()

    def encode(self, value: bytes) -> bytes:
        """Return a value as the application reads it.

        Raises:
            CodecFailedError: the codec fails; what it says is not repeated, because it may quote the value.
        """
        if self._codec is None:
            return value
        try:
            return self._codec.encode(value)
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:  # noqa: BLE001 - the codec may raise anything, and ciphers written in Rust panic
            raise _failed("encode", error) from None

    async def decoded(self, answer: HttpAnswer) -> HttpAnswer:
        """Return an answer with what the handler returned; failures are never encoded.

        Raises:
            CodecFailedError: the codec fails.
        """
        if self._codec is None or answer.status != _SUCCESS:
            return answer
        try:
            return msgspec.structs.replace(answer, body=await self._codec.decode(answer.body))
        except (KeyboardInterrupt, SystemExit, asyncio.CancelledError):
            raise
        except BaseException as error:  # noqa: BLE001 - as above
            raise _failed("decode", error) from None

    def decoding(self, on_result: OnResult) -> OnResult:
        """Return a callback that decodes an answer and passes it on, once."""
        return on_result if self._codec is None else lambda result: self._receive(result, on_result)

    def _receive(self, result: HttpResult, on_result: OnResult) -> None:
        if not isinstance(result, HttpAnswer):
            on_result(result)
            return
        task = asyncio.get_running_loop().create_task(self._pass_on(result, on_result), name="kallback-bridge-decode")
        self._decoding.add(task)
        task.add_done_callback(self._decoding.discard)

    async def _pass_on(self, answer: HttpAnswer, on_result: OnResult) -> None:
        result: HttpResult = RestateUnavailableError("the answer was not decoded before the end")
        try:
            result = await self.decoded(answer)
        except RestateUnavailableError as error:
            result = error
        finally:  # cancelled or not, the caller is told
            on_result(result)

    async def stop(self) -> None:
        """End what is being decoded; each caller is told."""
        for task in tuple(self._decoding):
            task.cancel()
        await asyncio.gather(*self._decoding, return_exceptions=True)


_loaded: Final[dict[str, ValueCodec]] = {}
"""By MODULE:NAME, as modules are: a provider may ask a key server, and connections are made again and again."""


async def load_codec(target: str) -> ValueCodec | None:
    """Return the codec that MODULE:NAME names; None for an empty text. The module is also looked for in this folder.

    Raises:
        ConfigurationError: there is none, its provider fails, or Restate's SDK could not call it.
    """
    if not target:
        return None
    if target not in _loaded:
        _loaded[target] = await _made(target)
    return _loaded[target]


async def _made(target: str) -> ValueCodec:
    found = named_object(VARIABLE, target, "a codec")
    if not is_journal_codec(found) and callable(found):  # a provider, which builds the codec
        try:
            made = cast("Callable[[], object]", found)()
            found = await cast("Awaitable[object]", made) if inspect.isawaitable(made) else made
        except Exception as error:  # noqa: BLE001 - the provider may raise anything
            raise ConfigurationError(
                f"{VARIABLE}={target!r}: the provider raised {type(error).__name__} when it was asked for the codec; "
                "call it yourself to see what it says, which may be secret"
            ) from None
    if not is_journal_codec(found):
        raise ConfigurationError(
            f"{VARIABLE}={target!r} names no codec: it must be the object that the application passes as "
            "journal_value_codec"
        )
    check_journal_codec(found, f"{VARIABLE}={target!r}")
    return cast("ValueCodec", found)


def _failed(verb: str, error: BaseException) -> CodecFailedError:
    return CodecFailedError(f"the journal value codec cannot {verb} a value ({type(error).__name__})")
