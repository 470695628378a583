"""What Restate replied to a completion, and how an HTTP answer is read. Pure.

The line between "retry" and "never" decides whether results are lost, so "never" is narrow:

- 202 alone is success. Another 2xx, and a 3xx, come from something that is not Restate's awakeable endpoint.
- 400 and 413 are the only permanent refusals of a *record*. A 400 counts only if Restate itself says so (a JSON body
  with the code, seen on 1.7.12) and does not complain about the path: proxies answer 400, too, for example to plain
  HTTP on a TLS port, and Restate does so for an ingress address with a wrong path.
- 408, 425, 429 and 5xx are temporary.
- Everything else (401, 403, 404, 405, ...) is a wrong address or key, or a proxy that has lost its route. It does not
  concern the record, so nothing is lost: a bridge that gets nothing else is not ready, says so, and tries on.
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
    """Restate has durably accepted it (it answers 202 whether or not a handler waits)."""

    label: str = "202"


class Retry(msgspec.Struct, frozen=True):
    """Retry later.

    Attributes:
        label: what happened in one word, for a metric: `503`, `timeout`, `unreachable`.
        detail: a sentence for the log.
        after: seconds that the other side asks to wait.
        overloaded: fewer sends at one time may help.
        shared: the reply is for a whole batch, and may concern another item of it.
    """

    label: str
    detail: str
    after: float | None = None
    overloaded: bool = False
    shared: bool = False


class Rejected(msgspec.Struct, frozen=True):
    """Restate never accepts this record."""

    detail: str
    label: str = "400"


class TooLarge(msgspec.Struct, frozen=True):
    """Restate, or a proxy before it, never accepts a body of this size."""

    detail: str
    label: str = "413"


class Misconfigured(msgspec.Struct, frozen=True):
    """The answer does not come from a Restate that accepts our requests; it does not concern the record.

    Attributes:
        label: as for `Retry`.
        detail: what to fix, as a sentence.
        denied: the credentials are the reason.
    """

    label: str
    detail: str
    denied: bool = False


Reply = Accepted | Retry | Rejected | TooLarge | Misconfigured

TAKEN: Final = Accepted()


def read_reply(status: int, *, body: bytes, retry_after: str | None, url: str) -> Reply:
    """Read an HTTP answer to `resolve` or `reject`.

    Args:
        status: HTTP status.
        body: the beginning of the body.
        retry_after: the header Retry-After.
        url: the ingress address, for the details.
    """
    if status == ACCEPTED:
        return TAKEN
    said = _excerpt(body)
    if status in PASSING or status in _SERVER_ERRORS:
        return Retry(str(status), f"{url} answers {status}{said}", _seconds(retry_after), overloaded=True)
    if status == TOO_LARGE:
        return TooLarge(f"{url} answers 413: the body is larger than it accepts{said}")
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
    """Return Restate's message, if Restate refuses this record."""
    try:
        refusal = _REFUSAL.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    if refusal.code != REJECTED or refusal.message.startswith("bad path"):
        return None
    return refusal.message[:_EXCERPT]


def excerpt_of(body: bytes) -> str:
    """Return the beginning of a body on one line."""
    return " ".join(body[:_EXCERPT].decode("utf-8", "replace").split())


def _excerpt(body: bytes) -> str:
    text = excerpt_of(body)
    return f" ({text})" if text.isprintable() and text else ""


def _seconds(text: str | None) -> float | None:
    """Return the seconds of a Retry-After header; None for a date, because the bridge has its own backoff."""
    return float(text) if text is not None and text.isascii() and text.isdigit() and len(text) <= 9 else None  # noqa: PLR2004
