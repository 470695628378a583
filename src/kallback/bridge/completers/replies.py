"""What Restate replied to a completion, and how an HTTP answer is read. Pure.

The line between "try again" and "never" decides whether results are lost, so it is drawn narrowly:

- 202 alone is success. Another 2xx, and a 3xx, come from something that is not Restate's awakeable endpoint.
- 400 and 413 are the only permanent refusals of a *record*. A 400 counts only if Restate itself says so (a JSON body
  with the code, seen on 1.7.12) and does not complain about the path: proxies answer 400 too, to plain HTTP on a TLS
  port for example, and Restate does so for an ingress address with a wrong path.
- 408, 425, 429 and 5xx pass.
- Everything else (401, 403, 404, 405, ...) is a wrong address or key: no fault of the record, so nothing is lost; but
  it will not pass by itself, so a bridge that hears nothing else stops and says so.
"""

from __future__ import annotations

from typing import Final

import msgspec

ACCEPTED: Final = 202
REJECTED: Final = 400
TOO_LARGE: Final = 413
PASSING: Final = frozenset({408, 425, 429})
DENIED: Final = frozenset({401, 403})
_SERVER_ERRORS: Final = range(500, 600)
_EXCERPT: Final = 200


class Accepted(msgspec.Struct, frozen=True):
    """Restate has durably accepted it (202 comes whether or not anybody still waits)."""

    label: str = "202"


class Retry(msgspec.Struct, frozen=True):
    """Not now.

    Attributes:
        label: what happened in one word, fit for a metric: `503`, `timeout`, `unreachable`.
        detail: a sentence for the log.
        after: seconds that the other side asks to wait.
        overloaded: fewer at one time may help.
        shared: it went for a whole batch, and may be about any other of it: no reason to give this one up.
    """

    label: str
    detail: str
    after: float | None = None
    overloaded: bool = False
    shared: bool = False


class Rejected(msgspec.Struct, frozen=True):
    """Restate will never accept this record."""

    detail: str
    label: str = "400"


class TooLarge(msgspec.Struct, frozen=True):
    """Restate, or a proxy on the way, never takes that much."""

    detail: str
    label: str = "413"


class Misconfigured(msgspec.Struct, frozen=True):
    """No fault of the record: whoever answers is not the Restate we may talk to.

    Attributes:
        label: as that of `Retry`.
        detail: what to fix, as a sentence.
        denied: our credentials are the reason.
    """

    label: str
    detail: str
    denied: bool = False


Reply = Accepted | Retry | Rejected | TooLarge | Misconfigured

TAKEN: Final = Accepted()


def read_reply(status: int, *, body: bytes, retry_after: str | None, url: str) -> Reply:
    """Judge an HTTP answer to `resolve` or `reject`.

    Args:
        status: HTTP status.
        body: the beginning of the body.
        retry_after: that header, if there.
        url: the ingress address, for sentences.
    """
    if status == ACCEPTED:
        return TAKEN
    said = _excerpt(body)
    if status in PASSING or status in _SERVER_ERRORS:
        return Retry(str(status), f"{url} answers {status}{said}", _seconds(retry_after), overloaded=True)
    if status == TOO_LARGE:
        return TooLarge(f"{url} answers 413: larger than it takes{said}")
    if status == REJECTED and (message := _refusal(body)) is not None:
        return Rejected(f"Restate says: {message}")
    if status in DENIED:
        return Misconfigured(
            str(status),
            f"{url} answers {status}{said}: set KALLBACK_RESTATE_AUTH_TOKEN to a key that may call the ingress",
            denied=True,
        )
    return Misconfigured(
        str(status),
        f"{url} answers {status}{said}, which Restate's awakeable endpoint never does: set "
        "KALLBACK_RESTATE_INGRESS_URL to the address of Restate's ingress, with a path only if a proxy takes it off",
    )


class _Refusal(msgspec.Struct):
    code: int
    message: str


_REFUSAL: Final = msgspec.json.Decoder(_Refusal)


def _refusal(body: bytes) -> str | None:
    """Restate's own words, if it is Restate that refuses this record."""
    try:
        refusal = _REFUSAL.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    if refusal.code != REJECTED or refusal.message.startswith("bad path"):
        return None
    return refusal.message[:_EXCERPT]


def excerpt_of(body: bytes) -> str:
    """The beginning of what an answer says, on one line."""
    return " ".join(body[:_EXCERPT].decode("utf-8", "replace").split())


def _excerpt(body: bytes) -> str:
    text = excerpt_of(body)
    return f" ({text})" if text.isprintable() and text else ""


def _seconds(text: str | None) -> float | None:
    """Seconds of a Retry-After header; a date is as good as none, since our own back-off follows."""
    return float(text) if text is not None and text.isascii() and text.isdigit() and len(text) <= 9 else None  # noqa: PLR2004
