"""Pending tasks: the list, and one of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Final
from urllib.parse import quote, urlsplit, urlunsplit

from kallback.cli.console.outcomes import counting_outcome
from kallback.cli.console.pages.dead_letters import letters_table
from kallback.cli.console.pages.layout import facts, page, table, trouble
from kallback.cli.console.pages.markup import Content, Markup, element, joined
from kallback.cli.console.pages.outcomes import outcomes_table
from kallback.cli.console.pages.values import REFRESH_S, left, payload, place, record_parts, when
from kallback.cli.console.routes import TasksRoute
from kallback.cli.console.sources import LastLetters
from kallback.cli.formatting import as_sentence, counted, moment, redact, within
from kallback.durations import span
from kallback.kafka import Record
from kallback.operations import AbsenceCause, AbsentTask, PendingTask, TaskPage, TaskState
from kallback.protocol import OutcomeRecord
from kallback.web import HttpResponse

_LONGEST_CELL: Final = 120
_LONGEST_VALUE: Final = 2_000
_CHANGE_ALL: Final = "Fail or cancel all that match"
_NO_RECORD: Final = "none: an awakeable, which no worker does; its handler handed out a token that answers it"
_LISTED: Final = (
    "until it is answered or withdrawn, or its deadline passes, even if its handler has gone on without an answer; "
)


_DOCTOR: Final = joined((element("code", "kallback doctor"), " says why a handler cannot go on."))


def _listed(task: PendingTask) -> Markup | None:
    if task.signal is None:
        return None
    command = element("code", f"kallback tasks show {task.task_id}")
    return joined((_LISTED, command, " tells whether the handler waits for it now"))


TASK_HEADINGS: Final = ("Task", "Type", "State", "Attempt", "Handler", "Age", "Deadline")


def task_row(task: PendingTask, now_ms: int) -> list[Content]:
    """Return the cells of a pending task, under `TASK_HEADINGS`."""
    return [
        element("a", task.task_id, href=task_link(task), class_="id"),
        task.task_type,
        str(task.state),
        f"{task.attempt}",
        within(redact(task.invocation.target), _LONGEST_CELL),
        span(now_ms - task.created_ms),
        left(task.deadline_ms, now_ms),
    ]


def tasks_page(route: TasksRoute, found: TaskPage, now_ms: int, *, changeable: bool = False) -> HttpResponse:
    """Return a list of pending tasks.

    Args:
        route: which are wanted.
        found: those of this page.
        now_ms: epoch milliseconds.
        changeable: with a link to the page that changes all of them.
    """
    unreadable = counted(len(found.unreadable), "invocation") if found.unreadable else ""
    following = None if found.cursor is None else element("a", "Next page", href=route.next(found.cursor), rel="next")
    return page(
        "Pending tasks",
        _filters(route),
        trouble(f"{unreadable} cannot be read: a journal value codec encodes them.") if unreadable else None,
        table(counted(len(found.tasks), "task"), TASK_HEADINGS, [task_row(task, now_ms) for task in found.tasks]),
        _untaken(found),
        element("p", following) if following is not None else None,
        element("p", element("a", _CHANGE_ALL, href=route.all)) if changeable and found.tasks else None,
        section="/tasks",
        refresh=REFRESH_S,
    )


def _untaken(found: TaskPage) -> Markup | None:
    handlers = len({task.invocation.id for task in found.untaken})
    if not handlers:
        return None
    which = "handler has a result and has" if handlers == 1 else "handlers have a result and have"
    said = f"{handlers:,} {which} not gone on yet. "
    return element("p", said, _DOCTOR)


@dataclass(frozen=True, slots=True)
class TaskHistory:
    """What became of a task's results so far.

    Attributes:
        outcomes: of the last outcomes.
        letters: of the last dead letters.
        result: the record of the result that counted; None if there is none, or it is not known.
    """

    outcomes: Sequence[OutcomeRecord] = ()
    letters: LastLetters = field(default_factory=LastLetters)
    result: Record | None = None

    def parts(self, now_ms: int, *, mask: bool) -> list[Markup]:
        """Return the result, and the others as tables, those that are not empty."""
        parts = [] if self.result is None else record_parts("Result", self.result, mask=mask)
        if self.outcomes:
            parts += [element("h2", "Outcomes"), outcomes_table("Outcomes of its results", self.outcomes)]
        if self.letters.letters:
            parts += [element("h2", "Dead letters"), letters_table("Its dead letters", self.letters, now_ms)]
        return parts


def ended_task_page(absent: AbsentTask, history: TaskHistory, now_ms: int, *, mask: bool) -> HttpResponse:
    """Return what is known of a task that no handler waits for."""
    title, said = _end(absent, counting_outcome(history.outcomes))
    return page(
        title,
        said,
        facts((("Task", absent.task_id),)),
        *history.parts(now_ms, mask=mask),
        section="/tasks",
        refresh=REFRESH_S,  # its next attempt may come, or its outcome
        status=HTTPStatus.NOT_FOUND,
    )


def _end(absent: AbsentTask, ended: OutcomeRecord | None) -> tuple[str, Markup]:
    """Return the heading and the sentence: how a task has ended, as far as the last outcomes say so."""
    if ended is None or ended.did not in _ENDS or absent.cause is AbsenceCause.NOT_SENT:
        return "No pending task", trouble(as_sentence(absent.sentence))
    how = within(ended.result or "", _LONGEST_CELL)
    by = "" if ended.by is None else f", by {within(ended.by, _LONGEST_CELL)}"
    said = f"Attempt {ended.attempt} ended at {moment(ended.at_ms)}: {how}{by}. No handler waits for it any more."
    more = "" if ended.did == "completed" else " If another attempt follows, it is shown here when Kafka has it."
    handler = "" if absent.holder is None else f" {as_sentence(absent.sentence)}"
    return f"Task {ended.did}", element("p", said + more + handler)


_ENDS: Final = frozenset({"completed", "failed", "cancelled"})
"""What the result of a task does that ends it; after the others another attempt follows."""


def untaken_task_page(
    task: PendingTask, history: TaskHistory, admin_url: str, now_ms: int, *, mask: bool
) -> HttpResponse:
    """Return what is known of a task that has its result, while its handler has not gone on."""
    return page(
        f"Task {task.task_id}",
        trouble(joined(("Its result came, and its handler has not gone on yet. ", _DOCTOR))),
        facts(
            (
                ("Type", task.task_type),
                ("Attempt", str(task.attempt)),
                ("Created", when(task.created_ms, now_ms)),
                ("Handler", within(redact(task.invocation.target), _LONGEST_VALUE)),
                ("Invocation", _invocation(task, admin_url)),
                ("Task record", _NO_RECORD if task.position is None else place(task.position)),
            )
        ),
        *history.parts(now_ms, mask=mask),
        section="/tasks",
        refresh=REFRESH_S,
    )


def task_page(
    task: PendingTask,
    record: Record | str,
    history: TaskHistory,
    admin_url: str,
    now_ms: int,
    *,
    mask: bool,
    forms: Markup | None = None,
) -> HttpResponse:
    """Return what is known of one pending task."""
    progress = task.progress
    details = None if progress is None or not progress.details else progress.details
    return page(
        f"Task {task.task_id}",
        facts(
            (
                ("Type", task.task_type),
                ("State", str(task.state)),
                ("Next attempt", None if task.next_attempt_ms is None else left(task.next_attempt_ms, now_ms)),
                ("Attempt", str(task.attempt)),
                ("Created", when(task.created_ms, now_ms)),
                ("Dispatched", None if progress is None else when(progress.dispatched_ms, now_ms)),
                ("Started", None if progress is None else when(progress.started_ms, now_ms)),
                ("Last heartbeat", None if progress is None else when(progress.heartbeat_ms, now_ms)),
                ("Details unchanged since", _unchanged(task, now_ms)),
                ("Deadline", left(task.deadline_ms, now_ms)),
                ("Waiting handler", within(redact(task.invocation.target), _LONGEST_VALUE)),
                ("Invocation", _invocation(task, admin_url)),
                ("Task record", _NO_RECORD if task.position is None else place(task.position)),
                ("Listed", _listed(task)),
            )
        ),
        *([] if details is None else [element("h2", "Details of the last heartbeat"), payload(details, mask=mask)]),
        *([] if task.position is None else record_parts("Request", record, mask=mask)),
        *history.parts(now_ms, mask=mask),
        forms,
        section="/tasks",
        refresh=REFRESH_S,
    )


def _unchanged(task: PendingTask, now_ms: int) -> str | None:
    since_ms = None if task.progress is None else task.progress.unchanged_since_ms
    return None if since_ms is None else when(since_ms, now_ms)


def task_link(task: PendingTask) -> str:
    """Return the address of a task's page."""
    return f"/tasks/{quote(task.task_id)}"


def _filters(route: TasksRoute) -> Markup:
    states = [element("option", "any", value="", selected=not route.state)]
    states += [element("option", str(each), value=str(each), selected=route.state == each) for each in TaskState]
    return element(
        "form",
        element("label", "Task id", element("input", name="id", maxlength="16", size="17", autocomplete="off")),
        element("label", "Type", element("input", name="type", value=route.task_type, size="15")),
        element("label", "State", element("select", *states, name="state")),
        element("label", "Handler", element("input", name="handler", value=route.handler, size="15")),
        element("label", "Older than", _span("older_than", route.older_than)),
        element("label", "Deadline within", _span("deadline_within", route.deadline_within)),
        element("button", "Show"),
        action="/tasks",
        role="search",
    )


def _span(name: str, value: str) -> Markup:
    return element(
        "input",
        name=name,
        value=value,
        size="6",
        placeholder="15m",
        pattern=r"\d{1,6}\s*[smhd]",
        title="30s, 15m, 2h or 3d",
    )


def _invocation(task: PendingTask, admin_url: str) -> Markup:
    parts = urlsplit(admin_url)
    address = urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path.rstrip("/"), "", ""))
    invocation = task.invocation
    href = f"{address}/ui/invocations/{quote(invocation.id)}"
    return element("a", f"{invocation.id} ({invocation.status})", href=href, rel="noreferrer")
