"""Addresses of HTTP: what counts as one, and how a host is written in it."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Final
from urllib.parse import urlsplit

LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})
"""The names of the loopback."""


def is_http(url: object) -> bool:
    """Whether it is a text, and an address that begins with http:// or https:// and names a host."""
    if not isinstance(url, str) or not url.isprintable() or " " in url:
        return False
    try:
        parts = urlsplit(url)
        return parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:  # brackets without an address in them, a port that is none
        return False


def shown_url(url: str) -> str:
    """An address as people may see it: its query may have a key in it, as those of some cloud functions have."""
    address, query, _ = url.partition("?")
    return f"{address}?***" if query else address


def bracketed(host: str) -> str:
    """A host as it is written before a port: brackets around an IPv6 address."""
    return f"[{host}]" if ":" in host else host


def host_named(header: str) -> str:
    """The host that a header `Host` names, in lower case, without port and brackets."""
    text = header.strip().lower()
    if text.startswith("["):
        return text[1:].partition("]")[0]
    return text.rpartition(":")[0] or text


def is_ip(host: str) -> bool:
    """Whether a host is an address in digits, which no one else's name server answers for."""
    try:
        ip_address(host)
    except ValueError:
        return False
    return True
