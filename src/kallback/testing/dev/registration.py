"""Tells Restate where a service of `kallback dev` is, and what Restate found there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import httpx

_TIMEOUT_S: Final = 30.0
_REFUSED: Final = 400


@dataclass(frozen=True, slots=True)
class Registered:
    """What Restate found.

    Attributes:
        handlers: their paths, in the order of their names: "Service/handler", or "Object/KEY/handler".
    """

    handlers: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class NotRegistered:
    """Restate did not take it.

    Attributes:
        reason: in its words.
    """

    reason: str


def register(admin_url: str, uri: str, *, besides: frozenset[str]) -> Registered | NotRegistered:
    """Register a deployment, over one of the same address: its handlers may have changed.

    Args:
        admin_url: of Restate.
        uri: where the service is.
        besides: services that are none of the developer's: kallback's own.
    """
    body = {"uri": uri, "force": True}
    try:
        answer = httpx.post(f"{admin_url}/deployments", json=body, timeout=_TIMEOUT_S, trust_env=False)
    except httpx.HTTPError as error:
        return NotRegistered(f"{type(error).__name__}: {error}")
    if answer.status_code >= _REFUSED:
        return NotRegistered(_message(answer))
    services = [each for each in answer.json()["services"] if each["name"] not in besides]
    return Registered(tuple(sorted(path for each in services for path in _paths(each))))


def _message(answer: httpx.Response) -> str:
    try:
        return str(answer.json()["message"])
    except (ValueError, KeyError, TypeError):
        return f"{answer.status_code} {answer.text}"


def _paths(service: dict[str, Any]) -> list[str]:
    key = "" if service["ty"] == "Service" else "KEY/"
    return [f"{service['name']}/{key}{handler['name']}" for handler in service["handlers"]]
