"""The codec that an application is given: refused at its start if Restate's SDK could not use it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, cast

from restate import JournalValueCodec

from kallback.protocol import ConfigurationError
from kallback.settings.journal_codec import WHAT_IS_ONE, check_journal_codec

if TYPE_CHECKING:
    from restate import JournalValueCodecProvider

_WHERE: Final = "journal_value_codec of callbacks.app"


def checked_codec(
    codec: JournalValueCodec | JournalValueCodecProvider | None,
) -> JournalValueCodec | JournalValueCodecProvider | None:
    """Return what Restate's SDK is given: the codec, or a provider whose codec is checked when it is built.

    Raises:
        ConfigurationError: it is no codec, or its `decode` is an ordinary function.
    """
    if codec is None:
        return None
    if isinstance(codec, JournalValueCodec):
        check_journal_codec(codec, _WHERE)
        return codec
    if not callable(cast("object", codec)):
        raise ConfigurationError(f"{_WHERE} is no codec: {WHAT_IS_ONE}")
    build = codec

    async def checked() -> JournalValueCodec:
        made = await build()
        check_journal_codec(made, _WHERE)
        return made

    return checked
