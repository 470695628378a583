"""Ports: free when chosen, tried again when lost."""

from __future__ import annotations

import socket

import pytest

from kallback.testing.errors import NoServerError, ServerStartError
from kallback.testing.servers.ports import accepts, free_ports, is_free, with_free_ports


def test_free_ports_are_distinct_and_below_the_ephemeral_range() -> None:
    """A server restarted on its port must not meet an outgoing connection there."""
    ports = free_ports(5)

    assert len(set(ports)) == 5
    assert all(port < 32_768 for port in ports)


def test_a_listener_is_seen() -> None:
    """A port with a listener is not free, and accepts."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]

        assert not is_free(port)
        assert accepts(port)


def test_a_port_taken_in_between_is_replaced() -> None:
    """A server that lost its port to another process gets a new one."""
    tried: list[tuple[int, ...]] = []

    def start(ports: tuple[int, ...]) -> None:
        tried.append(ports)
        if len(tried) == 1:
            raise ServerStartError("java.net.BindException: Address already in use")

    assert with_free_ports((None,), start) == tried[1]
    assert tried[0] != tried[1]


def test_another_failure_is_not_tried_again() -> None:
    """Only a taken port is worth a second try."""
    tried: list[tuple[int, ...]] = []

    def start(ports: tuple[int, ...]) -> None:
        tried.append(ports)
        raise ServerStartError("out of memory")

    with pytest.raises(ServerStartError, match="out of memory"):
        with_free_ports((None,), start)
    assert len(tried) == 1


def test_a_wanted_port_that_is_taken_is_named() -> None:
    """Who asks for a port by number is told that it is taken."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]

        with pytest.raises(NoServerError, match=f"Port {port} is in use"):
            with_free_ports((port,), lambda _: None)
