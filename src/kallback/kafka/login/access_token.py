"""An access token, and whether one may be sent to a broker. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple

from kallback.protocol.errors import ConfigurationError

if TYPE_CHECKING:
    from kallback.settings.secret import Secret

MAX_TOKEN_BYTES: Final = 64 * 1024  # the largest tokens that are known, with hundreds of groups in them, have 50 KiB
_SHAPE: Final = re.compile(r"[A-Za-z0-9._~+/-]+=*")
"""RFC 6750, 2.1; what it leaves out would end the token in the SASL message."""
_MILLISECONDS_BEGIN: Final = 1e11  # as seconds this is the year 5138, as milliseconds it is 1973
LIFETIME_SHARE: Final = 0.8
"""Of a lifetime, after which a token is renewed, as librdkafka and Kafka's own client do."""


class AccessToken(NamedTuple):
    """A bearer token and when it ends.

    Attributes:
        text: what is sent.
        expires_at: epoch seconds.
    """

    text: Secret
    expires_at: float

    def renew_at(self, issued_at: float) -> float:
        """When a new one should be there, in epoch seconds: after four fifths of its lifetime."""
        return issued_at + LIFETIME_SHARE * (self.expires_at - issued_at)


def check_token(text: str, expires_at: float, now: float, source: str) -> None:
    """Refuse what no broker would take; the token itself is not repeated.

    Args:
        text: the token.
        expires_at: epoch seconds.
        now: epoch seconds.
        source: who issued it, to begin the sentence with.

    Raises:
        ConfigurationError: it has no shape of a token, or has expired, or the time is no epoch seconds.
    """
    if len(text) > MAX_TOKEN_BYTES or not _SHAPE.fullmatch(text):
        raise ConfigurationError(
            f"{source} returned no bearer token (RFC 6750), but {len(text)} other characters: check what it issues"
        )
    if expires_at > _MILLISECONDS_BEGIN:
        raise ConfigurationError(
            f"{source} returned an expiry in milliseconds: divide it by 1000, it has to be in seconds"
        )
    if not expires_at > now:
        raise ConfigurationError(
            f"{source} returned a token that has expired already: check the clocks, and that the time of expiry is in "
            "seconds since 1970"
        )
