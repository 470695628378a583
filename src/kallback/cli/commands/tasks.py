"""`kallback tasks`: how tasks stand that are under way. So far `progress`.

Asks `TaskMonitor`, a service of the sdk, through Restate's ingress; nothing is kept here, and no key is needed.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Final, NoReturn
from urllib.parse import quote

import click
import msgspec

from kallback.bridge.restate.client import RestateHttp
from kallback.bridge.restate.connection import HttpAnswer
from kallback.cli.formatting import moment, plain, readable, span
from kallback.protocol import (
    MONITOR,
    AccessDeniedError,
    ConfigurationError,
    KallbackError,
    RestateUnavailableError,
    TaskProgress,
)
from kallback.settings import RestateSettings, Settings

Ask = Callable[[RestateSettings, str], Coroutine[Any, Any, HttpAnswer]]
_OK: Final = 200
_DENIED: Final = frozenset({401, 403})
_NOT_FOUND: Final = 404
_BODY_LIMIT: Final = 65_536
_SHOWN: Final = 4_096
_UNKNOWN: Final = "no task "
"""How `TaskMonitor` begins; Restate itself begins otherwise when it does not know the service."""


class UnknownTaskError(KallbackError):
    """Nobody watches over a task of this id."""


class _Refusal(msgspec.Struct):
    message: str = ""


async def ask(settings: RestateSettings, path: str) -> HttpAnswer:
    """Call a handler that takes nothing; Restate takes GET for that as well as POST.

    Raises:
        RestateUnavailableError: no usable answer; trying again may help.
        ConfigurationError: an address, a certificate or a token that cannot be used.
    """
    http = RestateHttp(settings, connections=1, body_limit=_BODY_LIMIT)
    await http.start()
    try:
        return await http.get(path)
    finally:
        await http.stop()


@dataclass(frozen=True, slots=True)
class Reach:
    """What the command touches Restate with: the real thing, or what a test puts into click's context object."""

    ask: Ask = ask


@click.group()
def tasks() -> None:
    """Say how tasks stand that are under way."""


@tasks.command()
@click.argument("task_id", metavar="ID")
@click.option("--json", "as_json", is_flag=True, help="As JSON, on one line, times in epoch milliseconds.")
def progress(task_id: str, *, as_json: bool) -> None:
    """Say how the task ID stands: attempt, start, last heartbeat and its details.

    For task types with heartbeat_every or start_timeout; their service must have bound callbacks.services.
    Settings: KALLBACK_RESTATE_*.
    Exit code 0: it is under way; 1: nobody watches over it, or Restate does not answer; 2: a setting must change.

        kallback tasks progress q8Tzl0b2R6m1cV9x --json
    """
    settings = Settings.from_env().restate
    reach = click.get_current_context().find_object(Reach) or Reach()
    answer = asyncio.run(reach.ask(settings, f"/{MONITOR}/{quote(task_id, safe='')}/read"))
    if answer.status != _OK:
        _refuse(answer, task_id, settings)
    told = _decoded(answer, settings)
    if as_json:
        click.echo(msgspec.json.encode(told).decode())
    else:
        _show(told, int(time.time() * 1000))


def _decoded(answer: HttpAnswer, settings: RestateSettings) -> TaskProgress:
    try:
        return msgspec.json.decode(answer.body, type=TaskProgress)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(
            f"{settings.ingress_url} does not answer as Restate's ingress does ({error}): set "
            "KALLBACK_RESTATE_INGRESS_URL"
        ) from None


def _refuse(answer: HttpAnswer, task_id: str, settings: RestateSettings) -> NoReturn:
    message, url = _message(answer.body), settings.ingress_url
    if answer.status == _NOT_FOUND and message.startswith(_UNKNOWN):
        raise UnknownTaskError(
            f"no task {plain(task_id)} is watched: it has ended, its id is another one, or its type has neither "
            "start_timeout nor heartbeat_every"
        )
    if answer.status == _NOT_FOUND:
        raise ConfigurationError(
            f"{url} knows no {MONITOR} ({plain(message)}): bind callbacks.services in the service that starts the "
            "tasks, and register it again; or set KALLBACK_RESTATE_INGRESS_URL to another address"
        )
    if answer.status in _DENIED:
        raise AccessDeniedError(f"{url} answers {answer.status}: set KALLBACK_RESTATE_AUTH_TOKEN to a key that may")
    raise RestateUnavailableError(f"{url} answers {answer.status} ({plain(message)}): try again")


def _message(body: bytes) -> str:
    try:
        return msgspec.json.decode(body, type=_Refusal).message
    except (msgspec.DecodeError, UnicodeDecodeError):
        return ""


def _show(told: TaskProgress, now_ms: int) -> None:
    _line("task", told.task_id)
    _line("type", told.task_type)
    _line("attempt", str(told.attempt))
    _line("dispatched", _ago(told.dispatched_ms, now_ms))
    _line("started", "not yet" if told.started_ms is None else _ago(told.started_ms, now_ms))
    _line("heartbeat", "none yet" if told.heartbeat_ms is None else _ago(told.heartbeat_ms, now_ms))
    details = bytes(told.details)
    _line("details", readable(details, longest=_SHOWN) if details else "none")


def _ago(at_ms: int, now_ms: int) -> str:
    return f"{moment(at_ms)} ({span(max(0, now_ms - at_ms))} ago)"


def _line(name: str, value: str) -> None:
    click.echo(f"{name:<11}{value if name == 'details' else plain(value)}")
