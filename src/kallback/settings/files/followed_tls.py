"""TLS with files that are exchanged: each new connection uses what they hold now. Connections that are open stay."""

from __future__ import annotations

import ssl
from functools import partial
from typing import TYPE_CHECKING, Final, Self

from kallback.protocol.errors import ConfigurationError
from kallback.settings.logs import named_log

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_log: Final = named_log("kallback.settings")


class FollowedContext(ssl.SSLContext):
    """What asyncio makes TLS connections with: each one with what the files hold then.

    It stands for another context, which is made anew when a file changes: one that is in use would go on trusting
    authorities that are not in the file any more.

    Args:
        now: returns the context of now.
    """

    def __new__(cls, now: Callable[[], ssl.SSLContext]) -> Self:  # noqa: ARG004 - of `__init__`
        """Make one that trusts nobody by itself."""
        return super().__new__(cls, ssl.PROTOCOL_TLS_CLIENT)

    def __init__(self, now: Callable[[], ssl.SSLContext]) -> None:
        self._now = now

    def wrap_bio(
        self,
        incoming: ssl.MemoryBIO,
        outgoing: ssl.MemoryBIO,
        server_side: bool = False,  # noqa: FBT001, FBT002 - as its base
        server_hostname: str | bytes | None = None,
        session: ssl.SSLSession | None = None,
    ) -> ssl.SSLObject:
        """Begin a connection; asyncio calls this for each."""
        return self._now().wrap_bio(incoming, outgoing, server_side, server_hostname, session)


class FollowedFiles:
    """Makes contexts of the same files anew when these change, all at once and with one line in the log.

    Files that cannot be used are logged, and the last good ones are kept.

    Args:
        makes: each returns a context with what the files hold now; raises a ConfigurationError if that cannot be.
        changed: whether they have changed since it said so last.

    Attributes:
        contexts: one for each of `makes`.
    """

    def __init__(self, makes: Sequence[Callable[[], ssl.SSLContext]], changed: Callable[[], bool]) -> None:
        self._makes: Final = makes
        self._changed: Final = changed
        self._made = self._make()
        self.contexts: Final = [FollowedContext(partial(self._now, index)) for index in range(len(makes))]

    def _now(self, index: int) -> ssl.SSLContext:
        if self._changed():
            self._read_again()
        return self._made[index]

    def _make(self) -> list[ssl.SSLContext]:
        return [make() for make in self._makes]

    def _read_again(self) -> None:
        try:
            self._made = self._make()
        except ConfigurationError as error:
            _log.warning("TLS files changed and cannot be used, the last ones are kept", reason=str(error))
        else:
            _log.info("TLS files were read again, because they changed")
