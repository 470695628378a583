"""How many requests one client may send."""

from __future__ import annotations

import pytest

from kallback.gateway.rate_limit import RateLimit, client_of


def test_a_burst_and_then_a_steady_rate() -> None:
    """Two at once, then one each half second."""
    limit = RateLimit(per_second=2, burst=2)

    assert [limit.acquire("a", 0.0) for _ in range(3)] == [0.0, 0.0, 0.5]
    assert [limit.acquire("a", 0.5), limit.acquire("a", 0.5)] == [0.0, 0.5]


def test_permits_are_saved_up_to_the_burst() -> None:
    """A client that was quiet for a day has no more than that."""
    limit = RateLimit(per_second=2, burst=2)
    limit.acquire("a", 0.0)

    assert [limit.acquire("a", 86_400.0) for _ in range(3)] == [0.0, 0.0, 0.5]


def test_clients_do_not_share_permits() -> None:
    """One that sends too much costs the others nothing."""
    limit = RateLimit(per_second=1, burst=1)

    assert [limit.acquire(name, 0.0) for name in ("a", "a", "b")] == [0.0, 1.0, 0.0]


def test_a_rate_of_zero_is_no_limit() -> None:
    """And nothing is remembered."""
    limit = RateLimit(per_second=0, burst=1)

    assert [limit.acquire("a", 0.0) for _ in range(1000)] == [0.0] * 1000
    assert len(limit) == 0


def test_memory_is_bounded() -> None:
    """The clients that were seen last are kept."""
    limit = RateLimit(per_second=1, burst=1, clients=10)
    for number in range(1000):
        limit.acquire(str(number), 0.0)

    assert len(limit) == 10
    assert limit.acquire("999", 0.0) == 1.0


@pytest.mark.parametrize(
    ("peer", "forwarded", "client"),
    [
        ("192.0.2.1", [], "192.0.2.1"),
        ("::ffff:192.0.2.1", [], "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", [], "2001:db8:1:2::"),
        ("2001:db8:1:2:ffff::", [], "2001:db8:1:2::"),
        ("127.0.0.1", ["203.0.113.9"], "203.0.113.9"),
        ("127.0.0.1", ["9.9.9.9, 203.0.113.9"], "203.0.113.9"),
        ("127.0.0.1", ["9.9.9.9", "203.0.113.9"], "203.0.113.9"),
        ("127.0.0.1", ["9.9.9.9:1, 203.0.113.9:50412"], "203.0.113.9"),
        ("127.0.0.1", ["[2001:db8:1:2:3:4:5:6]:50412"], "2001:db8:1:2::"),
        ("127.0.0.1", ["[2001:db8:1:2:3:4:5:6]"], "2001:db8:1:2::"),
        ("127.0.0.1", ["no address"], "127.0.0.1"),
        ("127.0.0.1", ["no address:80"], "127.0.0.1"),
        ("127.0.0.1", ["["], "127.0.0.1"),
        ("unknown", [], "unknown"),
    ],
)
def test_the_name_of_a_client(peer: str, forwarded: list[str], client: str) -> None:
    """An IPv6 network is one client; of a proxy's header the last address counts; what is none does not count."""
    assert client_of(peer, forwarded) == client
