"""The forms with which an operator changes a task, or replays dead letters. Pure."""

from __future__ import annotations

from urllib.parse import quote

from kallback.cli.console.changes import (
    MOST_PER_SECOND,
    MOST_REPLAYED,
    SECRET_FIELD,
    ChangeAction,
    ReplayForm,
    ReplayStep,
)
from kallback.cli.console.pages.markup import Markup, element, joined
from kallback.kafka import DeadLetterId
from kallback.operations import PendingTask


def change_forms(task: PendingTask, secret: str) -> Markup:
    """Return one form for each change.

    Args:
        task: what is changed.
        secret: of this process; a form without it is refused.
    """
    why = _why()
    value = element("label", "Result, as JSON", element("textarea", "null", name="value", rows="4", cols="40"))
    kind = element("label", "Type of the error", element("input", name="type", placeholder="about:blank"))
    detail = element("label", "Detail", element("input", name="detail", required=True))
    return joined(
        (
            element("h2", "By hand"),
            element("p", "Each is sent through Kafka, and the outcome record names you."),
            _form(task, ChangeAction.COMPLETE, secret, "Complete", value, why),
            _form(task, ChangeAction.FAIL, secret, "Fail", kind, detail, why),
            _form(task, ChangeAction.RETRY, secret, "Retry", why),
            _form(task, ChangeAction.CANCEL, secret, "Cancel", why),
        )
    )


def replay_form(secret: str) -> Markup:
    """Return the form for a replay of many dead letters; a check comes first."""
    return _replay_form(
        secret,
        ReplayStep.CHECK,
        "Check a replay",
        element("label", "Reason", element("input", name="reason", placeholder="any")),
        element("label", "Type", element("input", name="type", placeholder="any")),
        element("label", "At most", _number("limit", 100, MOST_REPLAYED)),
        element("label", "Per second", _number("rate", 50, MOST_PER_SECOND)),
        element("label", "Replayed ones, too", element("input", type="checkbox", name="again", value="1")),
    )


def replay_one_form(letter: DeadLetterId, secret: str) -> Markup:
    """Return the form for a replay of one dead letter."""
    again = element("label", "If it was replayed, again", element("input", type="checkbox", name="again", value="1"))
    return _replay_form(
        secret, ReplayStep.CHECK, "Check a replay", element("input", type="hidden", name="id", value=str(letter)), again
    )


def replay_confirmation(form: ReplayForm, secret: str) -> Markup:
    """Return the form that sends what was checked."""
    fields = {
        "id": "" if form.letter is None else str(form.letter),
        "reason": form.reason,
        "type": form.task_type,
        "limit": str(form.limit),
        "rate": str(form.per_second),
        "again": "1" if form.again else "",
    }
    hidden = [element("input", type="hidden", name=name, value=value) for name, value in fields.items()]
    return _replay_form(secret, ReplayStep.SEND, "Replay", *hidden, _why())


def _replay_form(secret: str, step: ReplayStep, label: str, *fields: Markup) -> Markup:
    return element(
        "form",
        element("input", type="hidden", name=SECRET_FIELD, value=secret),
        *fields,
        element("button", label),
        method="post",
        action=f"/dead-letters/replay/{step}",
        aria_label=label,
    )


def _why() -> Markup:
    return element("label", "Why", element("input", name="why", maxlength="500", required=True))


def _number(name: str, value: int, highest: int) -> Markup:
    return element("input", type="number", name=name, value=str(value), min="1", max=str(highest))


def _form(task: PendingTask, action: ChangeAction, secret: str, label: str, *fields: Markup) -> Markup:
    return element(
        "form",
        element("input", type="hidden", name=SECRET_FIELD, value=secret),
        element("input", type="hidden", name="attempt", value=str(task.attempt)),
        *fields,
        element("button", f"{label} task"),
        method="post",
        action=f"/tasks/{quote(task.task_id)}/{action}",
        aria_label=label,
    )
