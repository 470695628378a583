"""Free ports for local servers.

They are taken below the ephemeral range (32768 on Linux, 49152 on macOS), at random: a server that is killed and
started again on its port must not find it taken by an outgoing connection, and two test runs should rarely meet.
Between the check and the server's own bind another process can take the port; `with_free_ports` then tries again.
"""

from __future__ import annotations

import random
import socket
from typing import TYPE_CHECKING

from kallback.testing.errors import NoServerError, ServerStartError

if TYPE_CHECKING:
    from collections.abc import Callable

_FIRST, _LAST = 20_000, 31_999
_TAKEN = ("address already in use", "address in use", "port is already allocated")


def is_free(port: int) -> bool:
    """Return whether a server can listen on this port of 127.0.0.1 now."""
    with socket.socket() as candidate:
        candidate.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            candidate.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def accepts(port: int) -> bool:
    """Return whether a process listens on this port of 127.0.0.1."""
    with socket.socket() as client:
        client.settimeout(1.0)
        return client.connect_ex(("127.0.0.1", port)) == 0


def free_ports(count: int) -> list[int]:
    """Return distinct ports that are free now.

    Raises:
        NoServerError: none was found.
    """
    found: set[int] = set()
    for _ in range(1000):
        port = random.randint(_FIRST, _LAST)  # noqa: S311 - no secret
        if port not in found and is_free(port):
            found.add(port)
        if len(found) == count:
            return list(found)
    raise NoServerError(f"No {count} free ports between {_FIRST} and {_LAST}: end some servers.")


def with_free_ports(wanted: tuple[int | None, ...], start: Callable[[tuple[int, ...]], None]) -> tuple[int, ...]:
    """Call `start` with the wanted ports, free ones in place of each None; choose again if another process took one.

    Raises:
        NoServerError: a port that was asked for by number is taken.
        ServerStartError: the server did not start, for another reason or for the third time.
    """
    for port in wanted:
        if port is not None and not is_free(port):
            raise NoServerError(f"Port {port} is in use: end the process that listens there, or choose another port.")
    for attempt in (1, 2, 3):
        spare = iter(free_ports(len(wanted)))
        ports = tuple(next(spare) if port is None else port for port in wanted)
        try:
            start(ports)
        except ServerStartError as error:
            taken = any(words in str(error).lower() for words in _TAKEN)
            if attempt == 3 or not taken or None not in wanted:  # noqa: PLR2004 - three attempts
                raise
        else:
            return ports
    raise AssertionError
