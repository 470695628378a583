"""How HTTP answers are read: the line between again and never."""

from __future__ import annotations

import pytest

from kallback.bridge import Accepted, Misconfigured, Rejected, Reply, Retry, TooLarge, read_reply

BAD_ID = b'{"code":400,"message":"bad awakeable id \'x\'","source":"ingress"}'
BAD_PATH = b'{"code":400,"message":"bad path: /x","source":"ingress"}'


def read(status: int, body: bytes = b"", retry_after: str | None = None) -> Reply:
    """An answer of a server called http://restate."""
    return read_reply(status, body=body, retry_after=retry_after, url="http://restate")


def test_only_202_is_success() -> None:
    """Whoever answers 200 to a completion is not Restate's ingress."""
    assert isinstance(read(202), Accepted)
    assert all(isinstance(read(status), Misconfigured) for status in (200, 201, 204, 206))


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504, 599])
def test_what_passes_is_tried_again(status: int) -> None:
    """Overload and outage are no fault of the record."""
    found = read(status)
    assert isinstance(found, Retry)
    assert found.label == str(status)


@pytest.mark.parametrize(
    ("text", "seconds"), [("3", 3.0), ("0", 0.0), (None, None), ("soon", None), ("-1", None), ("9" * 20, None)]
)
def test_retry_after_is_read(text: str | None, seconds: float | None) -> None:
    """Whole seconds count, everything else is as good as absent."""
    found = read(429, retry_after=text)
    assert isinstance(found, Retry)
    assert found.after == seconds


def test_a_400_of_restate_is_permanent() -> None:
    """Restate's own words are kept."""
    assert read(400, BAD_ID) == Rejected("Restate says: bad awakeable id 'x'")


@pytest.mark.parametrize(
    "body", [b"", b"<html>plain HTTP on a TLS port</html>", BAD_PATH, b'{"code":500,"message":""}', b"[" * 5000]
)
def test_a_400_of_anything_else_is_a_wrong_address(body: bytes) -> None:
    """Proxies answer 400 too, and Restate does to a wrong path: no record is given up for that."""
    assert isinstance(read(400, body), Misconfigured)


def test_413_is_too_large() -> None:
    """Trying again would not make it smaller."""
    assert isinstance(read(413), TooLarge)


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_key(status: int) -> None:
    """The sentence names the setting of the key."""
    found = read(status)
    assert isinstance(found, Misconfigured)
    assert found.denied
    assert "KALLBACK_RESTATE_AUTH_TOKEN" in found.detail


@pytest.mark.parametrize("status", [301, 302, 307, 404, 405, 410, 415, 421])
def test_a_wrong_address(status: int) -> None:
    """The sentence names the setting of the address."""
    found = read(status)
    assert isinstance(found, Misconfigured)
    assert not found.denied
    assert "KALLBACK_RESTATE_INGRESS_URL" in found.detail


def test_what_the_other_side_said_is_shown_short() -> None:
    """A page of HTML does not land in the log, nor do control characters."""
    found = read(503, b"\x1b[31m" + b"x" * 10_000)
    assert isinstance(found, Retry)
    assert len(found.detail) < 300
    assert "\x1b" not in found.detail
