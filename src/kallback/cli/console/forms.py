"""The forms with which an operator changes a task. Pure."""

from __future__ import annotations

from urllib.parse import quote

from kallback.cli.console.changes import SECRET_FIELD, ChangeAction
from kallback.cli.console.markup import Markup, element, joined
from kallback.operations import PendingTask


def change_forms(task: PendingTask, secret: str) -> Markup:
    """Return one form for each change.

    Args:
        task: what is changed.
        secret: of this process; a form without it is refused.
    """
    why = element("label", "Why", element("input", name="why", maxlength="500", required=True))
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
