"""The token with which a bridge shows Restate who it is; one in a file is followed when the file changes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from kallback.protocol import ConfigurationError
from kallback.settings import named_log

if TYPE_CHECKING:
    from kallback.bridge.restate.requests import Headers
    from kallback.settings import Secret

_log: Final = named_log("kallback.bridge")


class Authorization:
    """The header of each request.

    Args:
        token: None: there is no header.

    Raises:
        ConfigurationError: the token has characters that no header may have.
    """

    def __init__(self, token: Secret | None) -> None:
        self._token: Final = token
        self._text = "" if token is None else token.reveal()
        self._headers: Headers = () if token is None else _headers(self._text)

    def headers(self) -> Headers:
        """Return the header of now, if there is one; a token that cannot be used changes nothing."""
        if self._token is not None and (text := self._token.reveal()) is not self._text:
            self._text = text
            try:
                self._headers = _headers(text)
            except ConfigurationError as error:
                _log.error("the token for Restate changed and cannot be used, the last one is kept", reason=str(error))
        return self._headers


def _headers(token: str) -> Headers:
    if not (token.isascii() and token.isprintable()):
        raise ConfigurationError(
            "KALLBACK_RESTATE_AUTH_TOKEN holds characters that no HTTP header may have (a line break?): set it anew"
        )
    return (("authorization", f"Bearer {token}"),)
