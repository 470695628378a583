"""From the address of a page to what it shows. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Final
from urllib.parse import parse_qsl, unquote, urlencode

import msgspec

from kallback.cli.console.changes import MANY_ACTIONS, ChangeAction, ReplayStep
from kallback.cli.times import milliseconds_of
from kallback.kafka import DeadLetterId
from kallback.operations import TaskFilter, TaskState
from kallback.protocol import Outcome, OutcomeRecord
from kallback.protocol.by_hand import Deed
from kallback.web import RefusedRequestError, refused

STATIC: Final = {"console.css": "text/css; charset=utf-8", "console.js": "text/javascript; charset=utf-8"}
_MAX_FIELDS: Final = 20


class OverviewRoute(msgspec.Struct, frozen=True):
    """The first page."""


class TasksRoute(msgspec.Struct, frozen=True):
    """Pending tasks.

    Attributes:
        task_type, state, handler: what is wanted; empty: any.
        older_than, deadline_within: durations such as `15m`; empty: any.
        cursor: where the page begins; None: at the oldest.
    """

    task_type: str = ""
    state: str = ""
    handler: str = ""
    older_than: str = ""
    deadline_within: str = ""
    cursor: str | None = None

    def filter(self, now_ms: int) -> TaskFilter:
        """Return what is wanted at a time, epoch milliseconds."""
        older_ms, within_ms = milliseconds_of(self.older_than), milliseconds_of(self.deadline_within)
        return TaskFilter(
            types=frozenset({self.task_type} - {""}),
            states=frozenset({TaskState(self.state)}) if self.state else frozenset(),
            handlers=frozenset({self.handler} - {""}),
            created_before_ms=None if older_ms is None else now_ms - older_ms,
            deadline_before_ms=None if within_ms is None else now_ms + within_ms,
        )

    @property
    def words(self) -> str:
        """What is wanted, for people; empty: all tasks."""
        return ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in self._wanted.items())

    def next(self, cursor: str) -> str:
        """Return the address of the next page."""
        return self._address("/tasks", cursor)

    @property
    def all(self) -> str:
        """The address of the page that changes all of them."""
        return self._address("/tasks/all")

    def _address(self, path: str, cursor: str = "") -> str:
        query = urlencode(self._wanted | ({"cursor": cursor} if cursor else {}))
        return f"{path}?{query}" if query else path

    @property
    def _wanted(self) -> dict[str, str]:
        """What is wanted, by the names that addresses have."""
        fields = {
            "type": self.task_type,
            "state": self.state,
            "handler": self.handler,
            "older_than": self.older_than,
            "deadline_within": self.deadline_within,
        }
        return {name: value for name, value in fields.items() if value}


class TaskRoute(msgspec.Struct, frozen=True):
    """One pending task."""

    task_id: str


class ManyRoute(msgspec.Struct, frozen=True):
    """What would be done to all tasks that are wanted."""

    wanted: TasksRoute


class ManyChangeRoute(msgspec.Struct, frozen=True):
    """A change to many tasks.

    Attributes:
        user: who sends it.
    """

    action: ChangeAction
    user: str


class ChangeRoute(msgspec.Struct, frozen=True):
    """A change to one task.

    Attributes:
        user: who sends it.
    """

    task_id: str
    action: ChangeAction
    user: str


class DeadLettersRoute(msgspec.Struct, frozen=True):
    """The last dead letters."""


class DeadLetterRoute(msgspec.Struct, frozen=True):
    """One dead letter."""

    letter: DeadLetterId


class OutcomesRoute(msgspec.Struct, frozen=True):
    """The last outcomes.

    Attributes:
        task_id, task_type, outcome, result: what is wanted; empty: any.
        by_hand: only results that were sent by hand.
    """

    task_id: str = ""
    task_type: str = ""
    outcome: str = ""
    result: str = ""
    by_hand: bool = False

    def accepts(self, outcome: OutcomeRecord) -> bool:
        """Return whether an outcome is wanted."""
        return (
            (not self.task_id or outcome.task_id == self.task_id)
            and (not self.task_type or outcome.task_type == self.task_type)
            and (not self.outcome or outcome.outcome == self.outcome)
            and (not self.result or outcome.did == self.result)
            and (not self.by_hand or outcome.by is not None)
        )


class ReplayRoute(msgspec.Struct, frozen=True):
    """A replay of dead letters.

    Attributes:
        user: who sends it.
    """

    step: ReplayStep
    user: str


class ReplayPlanRoute(msgspec.Struct, frozen=True):
    """A replay that was checked.

    Attributes:
        name: of its list.
    """

    name: str


class AnswerRoute(msgspec.Struct, frozen=True):
    """The answer to a form, after it.

    Attributes:
        name: of the answer.
    """

    name: str


class ProcessesRoute(msgspec.Struct, frozen=True):
    """Bridges, workers and gateways."""


class SettingsRoute(msgspec.Struct, frozen=True):
    """The settings of the environment."""


class StaticRoute(msgspec.Struct, frozen=True):
    """Style or script."""

    name: str


FormRoute = ChangeRoute | ReplayRoute | ManyChangeRoute
KeptRoute = ReplayPlanRoute | AnswerRoute
OtherRoute = ManyRoute | KeptRoute | ProcessesRoute | SettingsRoute | StaticRoute
PageRoute = OverviewRoute | TasksRoute | TaskRoute | DeadLettersRoute | DeadLetterRoute | OutcomesRoute | OtherRoute
Route = PageRoute | FormRoute


_FIXED: Final[dict[str, PageRoute]] = {
    "": OverviewRoute(),
    "dead-letters": DeadLettersRoute(),
    "processes": ProcessesRoute(),
    "settings": SettingsRoute(),
}


def route_of(target: str) -> PageRoute:  # noqa: PLR0911 - one for each page
    """Return what an address shows.

    Raises:
        RefusedRequestError: nothing, or a filter is not understood.
    """
    path, _, query = target.partition("?")
    match [unquote(part) for part in path.strip("/").split("/")]:
        case [name] if name in _FIXED:
            return _FIXED[name]
        case ["tasks"]:
            return _tasks(query)
        case ["tasks", "all"]:
            return ManyRoute(_wanted(_fields(query)))
        case ["tasks", task_id]:
            return TaskRoute(task_id)
        case ["dead-letters", name] if (letter := DeadLetterId.parse(name)) is not None:
            return DeadLetterRoute(letter)
        case ["dead-letters", "replay", name]:
            return ReplayPlanRoute(name)
        case ["answers", name]:
            return AnswerRoute(name)
        case ["outcomes"]:
            return _outcomes(query)
        case ["static", name] if name in STATIC:
            return StaticRoute(name)
        case _:
            raise refused("not-found", HTTPStatus.NOT_FOUND, "there is no such page: begin at /")


def change_of(target: str, user: str) -> FormRoute:
    """Return which change an address makes.

    Raises:
        RefusedRequestError: none.
    """
    match [unquote(part) for part in target.strip("/").split("/")]:
        case ["tasks", "all", action] if action in MANY_ACTIONS:
            return ManyChangeRoute(ChangeAction(action), user)
        case ["tasks", task_id, action] if task_id != "all" and action in list(ChangeAction):
            return ChangeRoute(task_id, ChangeAction(action), user)
        case ["dead-letters", "replay", step] if step in list(ReplayStep):
            return ReplayRoute(ReplayStep(step), user)
        case _:
            raise refused("not-found", HTTPStatus.NOT_FOUND, "there is no such change: begin at /")


def _tasks(query: str) -> TasksRoute | TaskRoute:
    fields = _fields(query)
    if task_id := fields.get("id", "").strip():
        return TaskRoute(task_id)
    return _wanted(fields)


def _wanted(fields: Mapping[str, str]) -> TasksRoute:
    return TasksRoute(
        fields.get("type", "").strip(),
        _choice(fields, "state", [each.value for each in TaskState]),
        fields.get("handler", "").strip(),
        _duration(fields, "older_than"),
        _duration(fields, "deadline_within"),
        fields.get("cursor"),
    )


def _outcomes(query: str) -> OutcomesRoute:
    fields = _fields(query)
    return OutcomesRoute(
        fields.get("id", "").strip(),
        fields.get("type", "").strip(),
        _choice(fields, "outcome", [each.value for each in Outcome]),
        _choice(fields, "result", [each.value for each in Deed]),
        by_hand=_choice(fields, "by_hand", ["1"]) == "1",
    )


def _choice(fields: Mapping[str, str], name: str, choices: Sequence[str]) -> str:
    """Return one of some words, or nothing; a filter that is not understood must not show everything."""
    word = fields.get(name, "")
    if word and word not in choices:
        raise _unusable(f"{_label_of(name)} is {' or '.join(choices)}")
    return word


def _label_of(name: str) -> str:
    """A field as its label on the page says it."""
    return name.replace("_", " ")


def _duration(fields: Mapping[str, str], name: str) -> str:
    text = fields.get(name, "").strip()
    if text and milliseconds_of(text) is None:
        raise _unusable(f"{_label_of(name)} is not a duration: write 30s, 15m, 2h or 3d")
    return text


def _fields(query: str) -> dict[str, str]:
    try:
        return dict(parse_qsl(query, max_num_fields=_MAX_FIELDS))
    except ValueError:
        raise _unusable(f"there are more than {_MAX_FIELDS} filters") from None


def _unusable(detail: str) -> RefusedRequestError:
    return refused("unusable-filter", HTTPStatus.BAD_REQUEST, detail)
