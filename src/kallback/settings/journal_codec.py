"""Whether an object is a codec of journals, as Restate's SDK uses one: `encode` returns bytes, `decode` is awaited.

A codec with a plain `decode` is accepted by all, and fails at the first value, with words about something else.
"""

from __future__ import annotations

import inspect
from typing import Any, Final, cast

from kallback.protocol.errors import ConfigurationError

WHAT_IS_ONE: Final = "pass an object of a subclass of restate.JournalValueCodec, or an async function that returns one"
_SAMPLE: Final = b'"a value"'


def is_journal_codec(found: object) -> bool:
    """Whether it has the two methods; a class is none, it makes one."""
    if isinstance(found, type):
        return False
    return callable(getattr(found, "encode", None)) and callable(getattr(found, "decode", None))


def check_journal_codec(codec: object, where: str) -> None:
    """Refuse a codec that Restate's SDK could not call.

    Where `decode` is no coroutine function, it is called once to see whether it returns something to await. What the
    codec raises then is no reason to refuse it: its key server may be away, and come back.

    Args:
        codec: what was given.
        where: it was given, to begin the sentence with.

    Raises:
        ConfigurationError: it is no codec, or one of its methods is not what Restate's SDK calls.
    """
    if not is_journal_codec(codec):
        raise ConfigurationError(f"{where} is no codec: {WHAT_IS_ONE}")
    methods = cast("Any", codec)
    if inspect.iscoroutinefunction(methods.encode):
        raise ConfigurationError(
            f"{where}: encode of the codec is a coroutine, and Restate's SDK does not await it: write `def encode`"
        )
    if inspect.iscoroutinefunction(methods.decode):
        return
    try:
        made = methods.decode(methods.encode(_SAMPLE))
    except Exception:  # noqa: BLE001 - the codec may raise anything
        return
    if not inspect.isawaitable(made):
        raise ConfigurationError(
            f"{where}: decode of the codec is an ordinary function, and Restate's SDK awaits it: write "
            "`async def decode`"
        )
    if inspect.iscoroutine(made):
        made.close()
