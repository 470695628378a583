"""`kallback tasks progress`: the status of a task with heartbeats, without access to journals or to Kafka.

It asks the environment's `TaskMonitor`, a service of the sdk, through Restate's ingress; no key is needed. Why it does
not know a task is told by Restate's journals, if the admin API answers.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass, replace
from typing import Any, Final, NoReturn
from urllib.parse import quote

import click
import msgspec
import orjson

from kallback.bridge.restate.client import RestateHttp
from kallback.bridge.restate.requests import HttpAnswer
from kallback.bridge.restate.value_codec import VARIABLE, CodecFailedError
from kallback.cli.formatting import moment, plain, printable_json, readable, redact
from kallback.cli.help import TextCommand, option
from kallback.cli.names import task_id_argument
from kallback.cli.tables import print_facts
from kallback.cli.tasks.lookup import NoPendingTaskError, find_task
from kallback.durations import span
from kallback.operations import Introspection, PendingTask, UnreadableJournalsError
from kallback.protocol import (
    AccessDeniedError,
    ConfigurationError,
    KallbackError,
    RestateUnavailableError,
    TaskProgress,
)
from kallback.protocol.values.bounded_reading import read_json
from kallback.protocol.values.codecs import MAX_NESTING
from kallback.settings import RestateSettings, Settings

Ask = Callable[[RestateSettings, str], Coroutine[Any, Any, HttpAnswer]]
Explain = Callable[[Settings, str], Coroutine[Any, Any, str]]
_OK: Final = 200
_DENIED: Final = frozenset({401, 403})
_NOT_FOUND: Final = 404
_BODY_LIMIT: Final = 65_536
_TIMEOUT_S: Final = 10.0
_SHOWN: Final = 4_096
_UNKNOWN: Final = "no task "
"""How an answer of `TaskMonitor` begins; Restate's own answer, when it does not know the service, begins otherwise."""


class UnknownTaskError(KallbackError):
    """No task with this id is monitored."""

    has_entry = True


class _RestateError(msgspec.Struct):
    message: str = ""


_ERROR: Final = msgspec.json.Decoder(_RestateError)
_PROGRESS: Final = msgspec.json.Decoder(TaskProgress)


async def ask(settings: RestateSettings, path: str) -> HttpAnswer:
    """Call a handler without input; Restate accepts GET for that as well as POST.

    Raises:
        RestateUnavailableError: no usable answer; a retry may help.
        ConfigurationError: an address, a certificate or a token that cannot be used.
    """
    bounded = replace(settings, request_timeout=min(settings.request_timeout, _TIMEOUT_S))
    http = RestateHttp(bounded, connections=1, body_limit=_BODY_LIMIT)
    await http.start()
    try:
        return await http.get_value(path)
    finally:
        await http.stop()


async def explain(settings: Settings, task_id: str) -> str:
    """Say why a task is not monitored; raises as `PendingTasks.find`."""
    async with Introspection(settings.restate) as introspection:
        try:
            return unmonitored(await find_task(introspection, settings, task_id))
        except NoPendingTaskError as error:
            return str(error)


def unmonitored(task: PendingTask) -> str:
    """Why `TaskMonitor` does not know a pending task."""
    show = f"see kallback tasks show {task.task_id}"
    if task.signal is not None:
        return f"task {task.task_id} is an awakeable, which no worker does and so nothing monitors: {show}"
    if task.progress is not None:
        return f"task {task.task_id} was not monitored yet a moment ago: ask again"
    return (
        f"task {task.task_id} is pending, and is not monitored, because its type {task.task_type} has neither "
        f"start_timeout nor heartbeat_every: {show}"
    )


@dataclass(frozen=True, slots=True)
class MonitorQuery:
    """Asks Restate; a test puts another one into click's context object."""

    ask: Ask = ask
    explain: Explain = explain


@click.command(cls=TextCommand)
@task_id_argument()
@option("--json", "as_json", is_flag=True, help="Print one JSON object; times in epoch milliseconds.")
def progress(task_id: str, *, as_json: bool) -> None:
    """Show the status of a running task.

    Shows the attempt, the times of its start and of its last heartbeat, and the details of the heartbeat. Only tasks
    whose type has heartbeat_every or start_timeout are monitored; callbacks.app([...]) binds what they need.

    Settings: KALLBACK_RESTATE_*, and KALLBACK_TOPICS_PREFIX (or KALLBACK_AUDIENCE) of the environment. The admin API is
    asked only for why a task is not monitored.

    Exit codes: 0 if the task runs, 1 if it is not monitored or Restate does not answer, 2 if a setting must change.

    For example:

        kallback tasks progress q8Tzl0b2R6m1cV9x --json
    """
    settings = Settings.from_env()
    query = click.get_current_context().find_object(MonitorQuery) or MonitorQuery()
    try:
        answer = asyncio.run(_read(query.ask, settings, task_id))
    except CodecFailedError as error:
        raise ConfigurationError(f"{error}: set {VARIABLE} to the codec of the services") from None
    except RestateUnavailableError as error:
        raise RestateUnavailableError(
            f"{error}: check that Restate runs and KALLBACK_RESTATE_INGRESS_URL names it"
        ) from None
    if answer.status == _NOT_FOUND and _message(answer.body).startswith(_UNKNOWN):
        raise UnknownTaskError(plain(asyncio.run(_why(query.explain, settings, task_id))))
    if answer.status != _OK:
        _refuse(answer, settings)
    found = _decoded(answer, settings.restate)
    if as_json:
        click.echo(printable_json(orjson.dumps(_members(found))))
    else:
        print_facts(_facts(found, int(time.time() * 1000)))


async def _read(ask: Ask, settings: Settings, task_id: str) -> HttpAnswer:
    """Ask the environment's `TaskMonitor`; during an upgrade also the one under the old name."""
    path = f"{quote(task_id, safe='')}/read"
    answer = await ask(settings.restate, f"/{settings.services.monitor}/{path}")
    if answer.status == _NOT_FOUND and settings.old_services is not None:
        older = await ask(settings.restate, f"/{settings.old_services.monitor}/{path}")
        return older if older.status == _OK else answer
    return answer


async def _why(explain: Explain, settings: Settings, task_id: str) -> str:
    """The cause; where it cannot be told, all that there are."""
    try:
        return await explain(settings, task_id)
    except UnreadableJournalsError:  # its sentence leads to this command
        why = (
            "some journals cannot be read (encoded by a journal value codec, or too large), and no other has the task; "
            f"`kallback outcomes list --task {task_id}` shows its results, if there are any"
        )
    except KallbackError as error:
        why = str(error)
    return (
        f"task {task_id} is not monitored: it has ended, the id is wrong, or its type has neither start_timeout "
        f"nor heartbeat_every; or it is an awakeable, which no worker does. Which it is cannot be told: {why}"
    )


def _decoded(answer: HttpAnswer, settings: RestateSettings) -> TaskProgress:
    try:
        return read_json(_PROGRESS, answer.body, limit=MAX_NESTING + 1)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(
            f"{settings.ingress_url} does not answer like Restate's ingress ({error}): correct "
            f"KALLBACK_RESTATE_INGRESS_URL; or, if the services have a journal value codec, set {VARIABLE} to it"
        ) from None


def _refuse(answer: HttpAnswer, settings: Settings) -> NoReturn:
    message, url = _message(answer.body), settings.restate.ingress_url
    if answer.status == _NOT_FOUND:
        raise ConfigurationError(
            f"Restate at {url} has no service {settings.services.monitor} ({plain(message)}): serve your services with "
            "callbacks.app([...]) and register them again, or correct KALLBACK_RESTATE_INGRESS_URL or "
            "KALLBACK_TOPICS_PREFIX"
        )
    if answer.status in _DENIED:
        raise AccessDeniedError(
            f"{url} answers {answer.status}: set KALLBACK_RESTATE_AUTH_TOKEN to a token that has access"
        )
    said = f" ({plain(message)})" if message else ""
    raise RestateUnavailableError(f"{url} answers {answer.status}{said}: try again later")


def _message(body: bytes) -> str:
    try:
        return read_json(_ERROR, body).message
    except (msgspec.DecodeError, UnicodeDecodeError):
        return ""


def _members(found: TaskProgress) -> dict[str, Any]:
    """The keys of `kallback tasks list --json`, as far as the monitor knows them."""
    return {
        "task": found.task_id,
        "type": found.task_type,
        "attempt": found.attempt,
        "dispatched": found.dispatched_ms,
        "started": found.started_ms,
        "heartbeat": found.heartbeat_ms,
        "details": redact(bytes(found.details).decode()) or None,
        "details_changed": found.details_ms,
    }


def _facts(found: TaskProgress, now_ms: int) -> Iterator[tuple[str, str]]:
    details = bytes(found.details)
    yield "task", plain(found.task_id)
    yield "type", plain(found.task_type)
    yield "attempt", str(found.attempt)
    yield "dispatched", _ago(found.dispatched_ms, now_ms)
    yield "started", "not yet" if found.started_ms is None else _ago(found.started_ms, now_ms)
    yield "heartbeat", "none yet" if found.heartbeat_ms is None else _ago(found.heartbeat_ms, now_ms)
    yield "details", readable(details, longest=_SHOWN) if details else "none"
    unchanged_ms = found.details_ms or found.started_ms
    if details and unchanged_ms is not None:
        yield "unchanged", f"since {_ago(unchanged_ms, now_ms)}"


def _ago(at_ms: int, now_ms: int) -> str:
    return f"{moment(at_ms)} ({span(max(0, now_ms - at_ms))} ago)"
