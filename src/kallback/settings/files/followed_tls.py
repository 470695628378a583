"""TLS with files that are exchanged: each new connection uses what they hold now. Connections that are open stay."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, Final, Self

from kallback.protocol.errors import ConfigurationError
from kallback.settings.logs import named_log

if TYPE_CHECKING:
    from collections.abc import Callable

_log: Final = named_log("kallback.settings")


class FollowedContext(ssl.SSLContext):
    """What asyncio makes TLS connections with. Files that cannot be used are logged, and the last good ones are kept.

    It stands for another context, which is made anew when a file changes: one that is in use would go on trusting
    authorities that are not in the file any more.

    Args:
        make: returns a context with what the files hold now; raises a ConfigurationError if that cannot be.
        changed: whether they have changed since it said so last.
    """

    def __new__(cls, make: Callable[[], ssl.SSLContext], changed: Callable[[], bool]) -> Self:  # noqa: ARG004 - of `__init__`
        """Make one that trusts nobody by itself."""
        return super().__new__(cls, ssl.PROTOCOL_TLS_CLIENT)

    def __init__(self, make: Callable[[], ssl.SSLContext], changed: Callable[[], bool]) -> None:
        self._make = make
        self._changed = changed
        self._context = make()

    def wrap_bio(
        self,
        incoming: ssl.MemoryBIO,
        outgoing: ssl.MemoryBIO,
        server_side: bool = False,  # noqa: FBT001, FBT002 - as its base
        server_hostname: str | bytes | None = None,
        session: ssl.SSLSession | None = None,
    ) -> ssl.SSLObject:
        """Begin a connection; asyncio calls this for each."""
        if self._changed():
            self._read_again()
        return self._context.wrap_bio(incoming, outgoing, server_side, server_hostname, session)

    def _read_again(self) -> None:
        try:
            self._context = self._make()
        except ConfigurationError as error:
            _log.warning("TLS files changed and cannot be used, the last ones are kept", reason=str(error))
        else:
            _log.info("TLS files were read again, because they changed")
