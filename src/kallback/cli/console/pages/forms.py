"""The forms with which an operator changes a task, or replays dead letters. Pure.

A form that was refused is shown again, with what was typed.
"""

from __future__ import annotations

from collections.abc import Iterable
from types import MappingProxyType
from typing import Final
from urllib.parse import quote

from kallback.cli.console.changes import (
    FINAL_FIELD,
    MOST_PER_SECOND,
    MOST_REPLAYED,
    PLAN_FIELD,
    SECRET_FIELD,
    YES,
    ChangeAction,
    Fields,
    ReplayStep,
)
from kallback.cli.console.pages.markup import Markup, element, joined
from kallback.cli.formatting import as_sentence, counted
from kallback.operations import PendingTask

_NOTHING: Final[Fields] = MappingProxyType({})
_LABELS: Final = {
    ChangeAction.COMPLETE: "Complete",
    ChangeAction.FAIL: "Fail",
    ChangeAction.RETRY: "Retry",
    ChangeAction.CANCEL: "Cancel",
}


def change_forms(
    task: PendingTask,
    secret: str,
    checked: Iterable[str] = (),
    refusal: str | None = None,
    *,
    repeatable: bool = True,
) -> Markup:
    """Return one form for each change that can be made.

    Args:
        task: what is changed.
        secret: of this process; a form without it is refused.
        checked: names of the task types whose results are checked before they are sent.
        refusal: why none can be made, and what to do; None if some can.
        repeatable: its caller would send another attempt.
    """
    if refusal is not None:
        return joined((element("h2", "By hand"), element("p", as_sentence(refusal))))
    fits = task.task_type in set(checked)
    hint = f"A result is checked against {task.task_type} before it is sent." if fits else _NOT_CHECKED
    fields = {"attempt": str(task.attempt)}
    once = None if repeatable or task.signal is not None else element("p", _ONCE)
    return joined(
        (
            element("h2", "By hand"),
            element("p", f"Each is sent through Kafka, and the outcome record names you. {hint}"),
            *(change_form(task.task_id, action, secret, fields) for action in _actions(task, repeatable=repeatable)),
            *(() if once is None else (once,)),
        )
    )


def _actions(task: PendingTask, *, repeatable: bool) -> list[ChangeAction]:
    """What can be done to a task: an awakeable has one attempt."""
    may_retry = repeatable and task.signal is None
    return [action for action in ChangeAction if may_retry or action is not ChangeAction.RETRY]


_ONCE: Final = (
    "It cannot be retried: its type has neither a retry policy nor heartbeats, so its caller sends no other attempt."
)


_NOT_CHECKED: Final = (
    "A result is checked to be JSON; to have it checked against the task's type, start the console with --types."
)


_RESULT: Final = 'true, "text", {"member": 1}, or null for none'


def change_form(task_id: str, action: ChangeAction, secret: str, typed: Fields) -> Markup:
    """Return the form of one change.

    Args:
        task_id: what is changed.
        action: the change.
        secret: of this process.
        typed: what it is filled with; `attempt` is the attempt that the operator saw.
    """
    fields = [element("input", type="hidden", name="attempt", value=typed.get("attempt", ""))]
    if action is ChangeAction.COMPLETE:
        value = typed.get("value", "").replace("\r\n", "\n")
        area = element("textarea", value, name="value", rows="4", cols="40", required=True, placeholder=_RESULT)
        fields.append(element("label", "Result, as JSON", area))
    elif action is ChangeAction.FAIL:
        fields += _problem(typed)
    label = _LABELS[action]
    address = f"/tasks/{quote(task_id)}/{action}"
    return _form(secret, address, label, f"{label} task", *fields, _why(typed))


def _problem(typed: Fields) -> list[Markup]:
    kind, detail = typed.get("type", ""), typed.get("detail", "")
    return [
        _label("Type of the error", name="type", placeholder="about:blank", value=kind),
        _label("Detail", name="detail", placeholder="who, and why", value=detail),
        _box("No other attempt", FINAL_FIELD, typed),
    ]


_OF_MANY: Final = (PLAN_FIELD, "unfiltered", "count")
_LONGEST_COUNT: Final = 10
"""Digits; a browser sends it back."""


def many_form(action: ChangeAction, secret: str, typed: Fields) -> Markup:
    """Return the form that changes many tasks.

    `typed` has the name of their list, how many they are, and whether a filter chose them: a form that is refused says
    again how many it is for.
    """
    fields = [element("input", type="hidden", name=name, value=typed.get(name, "")) for name in _OF_MANY]
    count = typed.get("count", "")
    if count.isascii() and count.isdigit() and len(count) < _LONGEST_COUNT:
        fields.insert(0, element("p", f"For {counted(int(count), 'task')}."))
    if action is ChangeAction.FAIL:
        fields += _problem(typed)
    if typed.get("unfiltered") == YES:
        fields.append(_box("All of them", "all", typed))
    label = f"{_LABELS[action]} all"
    return _form(secret, f"/tasks/all/{action}", label, label, *fields, _why(typed))


def replay_form(secret: str, typed: Fields = _NOTHING) -> Markup:
    """Return the form for a replay of many dead letters; a check comes first."""
    return _replay_form(
        secret,
        ReplayStep.CHECK,
        "Check a replay",
        _label("Reason", name="reason", placeholder="any", value=typed.get("reason", "")),
        _label("Type", name="type", placeholder="any", value=typed.get("type", "")),
        _number("At most", "limit", 100, MOST_REPLAYED, typed),
        _number("Per second", "rate", 50, MOST_PER_SECOND, typed),
        _box("All of them", "all", typed),
        _box("Replayed ones, too", "again", typed),
    )


def replay_one_form(letter: str, secret: str, typed: Fields = _NOTHING) -> Markup:
    """Return the form for a replay of one dead letter."""
    name = element("input", type="hidden", name="id", value=letter)
    again = _box("If it was replayed, again", "again", typed)
    return _replay_form(secret, ReplayStep.CHECK, "Check a replay", name, again)


def replay_confirmation(typed: Fields, secret: str) -> Markup:
    """Return the form that sends what was checked: the name of the list, and a reason."""
    plan = element("input", type="hidden", name=PLAN_FIELD, value=typed.get(PLAN_FIELD, ""))
    return _replay_form(secret, ReplayStep.SEND, "Replay", plan, _why(typed))


def _replay_form(secret: str, step: ReplayStep, label: str, *fields: Markup) -> Markup:
    return _form(secret, f"/dead-letters/replay/{step}", label, label, *fields)


def _form(secret: str, address: str, label: str, button: str, *fields: Markup) -> Markup:
    return element(
        "form",
        element("input", type="hidden", name=SECRET_FIELD, value=secret),
        *fields,
        element("button", button),
        method="post",
        action=address,
        aria_label=label,
    )


def _label(label: str, **attributes: str | bool) -> Markup:
    return element("label", label, element("input", **attributes))


def _why(typed: Fields) -> Markup:
    return _label("Why", name="why", maxlength="500", required=True, value=typed.get("why", ""))


def _box(label: str, name: str, typed: Fields) -> Markup:
    return _label(label, type="checkbox", name=name, value=YES, checked=typed.get(name) == YES)


def _number(label: str, name: str, value: int, highest: int, typed: Fields) -> Markup:
    written = typed.get(name, str(value))
    return _label(label, type="number", name=name, value=written, min="1", max=str(highest))
