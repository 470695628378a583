"""How many requests one client may send: a bucket of permits for each, filled at a steady rate. Pure.

Memory is bounded: the clients that were seen last are kept. The addresses of one IPv6 network of 64 bits are one
client, because one customer of a provider has all of them.
"""

from __future__ import annotations

from collections import OrderedDict
from ipaddress import IPv6Address, ip_address
from typing import Final

from kallback.settings.addresses import host_named

_CLIENTS: Final = 10_000
_NETWORK_BITS: Final = 64


class RateLimit:
    """Permits by client.

    Args:
        per_second: permits that a client gets each second; 0 is no limit.
        burst: the most that a client can save up.
        clients: how many are remembered.
    """

    def __init__(self, per_second: float, burst: int, clients: int = _CLIENTS) -> None:
        self._per_second: Final = per_second
        self._burst: Final = burst
        self._most: Final = clients
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def acquire(self, client: str, now: float) -> float:
        """Take a permit; return 0, or the seconds until there is one.

        Args:
            client: a name of the client; see `client_of`.
            now: seconds that only grow.
        """
        if not self._per_second:
            return 0.0
        permits, at = self._buckets.pop(client, (float(self._burst), now))
        permits = min(self._burst, permits + (now - at) * self._per_second)
        admitted = permits >= 1
        self._buckets[client] = (permits - admitted, now)
        while len(self._buckets) > self._most:
            self._buckets.popitem(last=False)
        return 0.0 if admitted else (1 - permits) / self._per_second

    def __len__(self) -> int:
        return len(self._buckets)


def client_of(peer: str, forwarded: list[str]) -> str:
    """Return the name of a client.

    Args:
        peer: the address of its connection.
        forwarded: values of the header in which a trusted proxy puts the client's address: the last address counts,
            because the ones before it come from the client itself. Some proxies add a port to it, as in an address of
            HTTP.
    """
    last = forwarded[-1].rpartition(",")[2].strip() if forwarded else peer
    if last.startswith("[") or last.count(":") == 1:
        last = host_named(last)
    try:
        address = ip_address(last)
    except ValueError:
        return peer
    if not isinstance(address, IPv6Address):
        return str(address)
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(IPv6Address(int(address) >> _NETWORK_BITS << _NETWORK_BITS))
