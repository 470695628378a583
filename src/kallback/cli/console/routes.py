"""From the address of a page to what it shows. Pure."""

from __future__ import annotations

from http import HTTPStatus
from typing import Final
from urllib.parse import parse_qsl, unquote, urlencode

import msgspec

from kallback.cli.console.changes import ChangeAction
from kallback.kafka import DeadLetterId
from kallback.operations import TaskFilter, TaskState
from kallback.web import refused

STATIC: Final = {"console.css": "text/css; charset=utf-8", "console.js": "text/javascript; charset=utf-8"}
_MAX_FIELDS: Final = 20


class OverviewRoute(msgspec.Struct, frozen=True):
    """The first page."""


class TasksRoute(msgspec.Struct, frozen=True):
    """Pending tasks.

    Attributes:
        task_type, state, handler: what is wanted; empty: any.
        cursor: where the page begins; None: at the oldest.
    """

    task_type: str = ""
    state: str = ""
    handler: str = ""
    cursor: str | None = None

    def filter(self) -> TaskFilter:
        """Return what is wanted."""
        return TaskFilter(
            types=frozenset({self.task_type} - {""}),
            states=frozenset({TaskState(self.state)}) if self.state else frozenset(),
            handlers=frozenset({self.handler} - {""}),
        )

    def next(self, cursor: str) -> str:
        """Return the address of the next page."""
        fields = {"type": self.task_type, "state": self.state, "handler": self.handler, "cursor": cursor}
        return "/tasks?" + urlencode({name: value for name, value in fields.items() if value})


class TaskRoute(msgspec.Struct, frozen=True):
    """One pending task."""

    task_id: str


class ChangeRoute(msgspec.Struct, frozen=True):
    """A change to one task.

    Attributes:
        user: who sends it.
    """

    task_id: str
    action: ChangeAction
    user: str


class SentRoute(msgspec.Struct, frozen=True):
    """Says that a change was sent."""

    task_id: str


class DeadLettersRoute(msgspec.Struct, frozen=True):
    """The last dead letters."""


class DeadLetterRoute(msgspec.Struct, frozen=True):
    """One dead letter."""

    letter: DeadLetterId


class ProcessesRoute(msgspec.Struct, frozen=True):
    """Bridges, workers and gateways."""


class SettingsRoute(msgspec.Struct, frozen=True):
    """The settings of the environment."""


class StaticRoute(msgspec.Struct, frozen=True):
    """Style or script."""

    name: str


PageRoute = (
    OverviewRoute
    | TasksRoute
    | TaskRoute
    | SentRoute
    | DeadLettersRoute
    | DeadLetterRoute
    | ProcessesRoute
    | SettingsRoute
    | StaticRoute
)
Route = PageRoute | ChangeRoute


def route_of(target: str) -> PageRoute:  # noqa: PLR0911 - one for each page
    """Return what an address shows.

    Raises:
        RefusedRequestError: nothing.
    """
    path, _, query = target.partition("?")
    match [unquote(part) for part in path.strip("/").split("/")]:
        case [""]:
            return OverviewRoute()
        case ["tasks"]:
            return _tasks(query)
        case ["tasks", task_id]:
            return TaskRoute(task_id)
        case ["tasks", task_id, "sent"]:
            return SentRoute(task_id)
        case ["dead-letters"]:
            return DeadLettersRoute()
        case ["dead-letters", name] if (letter := DeadLetterId.parse(name)) is not None:
            return DeadLetterRoute(letter)
        case ["processes"]:
            return ProcessesRoute()
        case ["settings"]:
            return SettingsRoute()
        case ["static", name] if name in STATIC:
            return StaticRoute(name)
        case _:
            raise refused("not-found", HTTPStatus.NOT_FOUND, "there is no such page: begin at /")


def change_of(target: str, user: str) -> ChangeRoute:
    """Return which change an address makes.

    Raises:
        RefusedRequestError: none.
    """
    match [unquote(part) for part in target.strip("/").split("/")]:
        case ["tasks", task_id, action] if action in list(ChangeAction):
            return ChangeRoute(task_id, ChangeAction(action), user)
        case _:
            raise refused("not-found", HTTPStatus.NOT_FOUND, "there is no such change: begin at /")


def _tasks(query: str) -> TasksRoute | TaskRoute:
    try:
        fields = dict(parse_qsl(query, max_num_fields=_MAX_FIELDS))
    except ValueError:
        fields = {}
    if task_id := fields.get("id", "").strip():
        return TaskRoute(task_id)
    state = fields.get("state", "")
    known = state if state in list(TaskState) else ""
    return TasksRoute(fields.get("type", "").strip(), known, fields.get("handler", "").strip(), fields.get("cursor"))
