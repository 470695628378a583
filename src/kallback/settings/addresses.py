"""Addresses of HTTP: what counts as one, and how a host is written in it."""

from __future__ import annotations

from urllib.parse import urlsplit


def is_http(url: str) -> bool:
    """Whether a text is an address that begins with http:// or https:// and names a host."""
    if not url.isprintable() or " " in url:
        return False
    try:
        parts = urlsplit(url)
        return parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:  # brackets without an address in them, a port that is none
        return False


def bracketed(host: str) -> str:
    """A host as it is written before a port: brackets around an IPv6 address."""
    return f"[{host}]" if ":" in host else host
