"""Changes to all pending tasks that a filter chooses: what would be changed, and what became of it."""

from __future__ import annotations

from typing import Final

from kallback.cli.console.changes import MANY_ACTIONS, YES, ChangeAction
from kallback.cli.console.many import ManyDone, TaskPlan
from kallback.cli.console.pages.forms import many_form
from kallback.cli.console.pages.layout import page, table, trouble
from kallback.cli.console.pages.markup import Content, Markup, element
from kallback.cli.console.pages.tasks import TASK_HEADINGS, task_link, task_row
from kallback.cli.formatting import counted, within
from kallback.web import HttpResponse

_FIRST: Final = 10
_LONGEST_CELL: Final = 300
_MORE: Final = "there are more, and these are those of the oldest invocations"
_NOTE: Final = (
    "Each task is read again when its turn comes: nothing is sent to one that has ended, and none is added. Each is "
    "sent through Kafka, and the outcome records name you."
)


def many_page(plan: TaskPlan, words: str, secret: str, now_ms: int) -> HttpResponse:
    """Return the tasks that would be changed, how many and the first ones, with the forms that change them.

    Args:
        plan: the tasks.
        words: what chose them; empty: nothing, so that it is all of them.
        secret: of this process; a form without it is refused.
        now_ms: epoch milliseconds.
    """
    tasks, title = plan.chosen.tasks, "Fail or cancel all that match"
    filtered = f"Filter: {words}. " if words else "No filter: all pending tasks. "
    said = element("p", f"{filtered}{plan.chosen.sentence(more=_MORE)}")
    if not tasks:
        return page(title, said, _to_tasks(), section="/tasks")
    shown = tasks[:_FIRST]
    caption = f"The first {_FIRST} of {len(tasks):,}" if len(tasks) > _FIRST else counted(len(tasks), "task")
    typed = {"plan": plan.name, "unfiltered": YES if plan.is_unfiltered else "", "count": str(len(tasks))}
    return page(
        title,
        said,
        table(caption, TASK_HEADINGS, [task_row(task, now_ms) for task in shown]),
        element("h2", f"By hand, {counted(len(tasks), 'task')}"),
        element("p", _NOTE),
        *(many_form(ChangeAction(action), secret, typed) for action in MANY_ACTIONS),
        _to_tasks(),
        section="/tasks",
    )


def many_done_page(done: ManyDone) -> HttpResponse:
    """Return what became of them."""
    rows: list[list[Content]] = [
        [
            element("a", each.task.task_id, href=task_link(each.task), class_="id"),
            within(each.error or "", _LONGEST_CELL),
            each.task.task_type,
        ]
        for each in done.refusals
    ]
    caption = f"Nothing was sent to {counted(done.refused, 'task')}"
    if done.refused > len(rows):
        caption += f"; the first {len(rows)}"
    early = None if done.error is None else trouble(f"It ended before the last one: {done.error}.")
    refused = table(caption, ["Task", "Why not", "Type"], rows) if rows else None
    return page("Sent", element("p", done.sentence), early, refused, _to_tasks(), section="/tasks")


def _to_tasks() -> Markup:
    return element("p", element("a", "Pending tasks", href="/tasks"))
