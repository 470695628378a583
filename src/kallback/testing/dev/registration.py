"""Tells Restate where a service of `kallback dev` is, and what Restate found there."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

import httpx

_TIMEOUT_S: Final = 30.0
_REFUSED: Final = 400
_MAIN: Final = "Workflow"
"""The kind of a workflow's main handler; without it having run, its other handlers have nothing to talk to."""


@dataclass(frozen=True, slots=True)
class Registered:
    """What Restate found.

    Attributes:
        handlers: their paths, in the order of their names, but the main handler of a workflow before its others:
            "Service/handler", or "Object/KEY/handler".
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
    return Registered(handlers_of(each for each in answer.json()["services"] if each["name"] not in besides))


def handlers_of(services: Iterable[dict[str, Any]]) -> tuple[str, ...]:
    """Return the paths of the handlers of services, as Restate's admin API describes them."""
    return tuple(path for each in sorted(services, key=lambda each: str(each["name"])) for path in _paths(each))


def _message(answer: httpx.Response) -> str:
    try:
        return str(answer.json()["message"])
    except (ValueError, KeyError, TypeError):
        return f"{answer.status_code} {answer.text}"


def _paths(service: dict[str, Any]) -> list[str]:
    key = "" if service["ty"] == "Service" else "KEY/"
    handlers = sorted(service["handlers"], key=lambda each: (each.get("ty") != _MAIN, each["name"]))
    return [f"{service['name']}/{key}{each['name']}" for each in handlers]
