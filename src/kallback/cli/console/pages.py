"""What each page shows. Pure: from values to HTML."""

from __future__ import annotations

from http import HTTPStatus
from typing import Final
from urllib.parse import quote, urlsplit, urlunsplit

from kallback.cli.console.layout import SECURITY, facts, page, table, trouble
from kallback.cli.console.markup import Content, Markup, element
from kallback.cli.console.overview import Overview
from kallback.cli.console.processes import ProcessStatus
from kallback.cli.console.routes import TasksRoute
from kallback.cli.console.shown_settings import shown_address
from kallback.cli.console.sources import LAST_LETTERS
from kallback.cli.dead_letters.reason_help import REASON_HELP
from kallback.cli.dead_letters.rows import task_type_of
from kallback.cli.formatting import counted, moment, readable, size, span
from kallback.kafka import DeadLetter, Headers, Position, Record
from kallback.operations import PendingTask, TaskPage, TaskState
from kallback.web import HttpResponse

_LONGEST: Final = 20_000
"""Characters of a value on a page."""
_LONGEST_HEADER: Final = 300
_MASKED: Final = "hidden (--mask-payloads)"
_REFRESH_S: Final = 5


def overview_page(overview: Overview, now_ms: int) -> HttpResponse:
    """Return the first page."""
    total = overview.tasks.total()
    oldest = overview.oldest
    by_type = sorted({task_type for task_type, _ in overview.tasks})
    rows: list[list[Content]] = [
        [
            element("a", task_type, href=f"/tasks?type={quote(task_type)}"),
            *(f"{overview.tasks[task_type, state]:,}" for state in TaskState),
        ]
        for task_type in by_type
    ]
    letters: list[list[Content]] = [
        [reason, _meaning(reason), f"{count:,}"] for reason, count in overview.letters.most_common()
    ]
    return page(
        "Overview",
        *map(trouble, overview.failures),
        facts(
            (
                ("Pending tasks", f"{'more than ' if overview.has_more else ''}{total:,}"),
                (
                    "Oldest",
                    None
                    if oldest is None
                    else element("a", f"{span(now_ms - oldest.created_ms)} ({oldest.task_type})", href=_task(oldest)),
                ),
                ("Unreadable journals", f"{overview.unreadable:,}" if overview.unreadable else None),
                ("Read at", moment(overview.read_ms)),
            )
        ),
        element("h2", "Pending tasks by type"),
        table("Pending tasks by type and state", ["Type", *map(str, TaskState)], rows, numbers=len(TaskState)),
        element("h2", "Dead letters by reason"),
        table(f"Of the last {LAST_LETTERS} dead letters", ["Reason", "Meaning", "Records"], letters, numbers=1),
        section="/",
        refresh=_REFRESH_S,
    )


def tasks_page(route: TasksRoute, found: TaskPage, now_ms: int) -> HttpResponse:
    """Return a list of pending tasks."""
    rows: list[list[Content]] = [
        [
            element("a", task.task_id, href=_task(task)),
            task.task_type,
            str(task.state),
            f"{task.attempt}",
            task.invocation.target,
            span(now_ms - task.created_ms),
            _left(task.deadline_ms, now_ms),
        ]
        for task in found.tasks
    ]
    headings = ["Task", "Type", "State", "Attempt", "Handler", "Age", "Deadline"]
    unreadable = counted(len(found.unreadable), "invocation") if found.unreadable else ""
    following = None if found.cursor is None else element("a", "Next page", href=route.next(found.cursor), rel="next")
    return page(
        "Pending tasks",
        _filters(route),
        trouble(f"{unreadable} cannot be read: a journal value codec encodes them.") if unreadable else None,
        table(counted(len(found.tasks), "task"), headings, rows),
        element("p", following) if following is not None else None,
        section="/tasks",
        refresh=_REFRESH_S,
    )


def task_page(
    task: PendingTask, record: Record | None, admin_url: str, now_ms: int, *, mask: bool, forms: Markup | None = None
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
                ("Attempt", str(task.attempt)),
                ("Created", _when(task.created_ms, now_ms)),
                ("Dispatched", None if progress is None else _when(progress.dispatched_ms, now_ms)),
                ("Started", None if progress is None else _when(progress.started_ms, now_ms)),
                ("Last heartbeat", None if progress is None else _when(progress.heartbeat_ms, now_ms)),
                ("Deadline", _left(task.deadline_ms, now_ms)),
                ("Waiting handler", task.invocation.target),
                ("Invocation", _invocation(task, admin_url)),
                ("Task record", _place(task.position)),
            )
        ),
        *([] if details is None else [element("h2", "Details of the last heartbeat"), _payload(details, mask=mask)]),
        *_record("Request", record, mask=mask),
        forms,
        section="/tasks",
        refresh=0 if forms is not None else _REFRESH_S,  # what is typed into a form must stay
    )


def dead_letters_page(letters: list[DeadLetter], now_ms: int) -> HttpResponse:
    """Return the last dead letters."""
    rows: list[list[Content]] = [
        [
            element("a", str(letter.id), href=f"/dead-letters/{letter.id}"),
            letter.reason,
            task_type_of(letter) or "-",
            _place(letter.source),
            span(now_ms - letter.written_ms),
            f"{letter.count:,}",
        ]
        for letter in letters
    ]
    headings = ["Dead letter", "Reason", "Type", "Source", "Age", "Records"]
    caption = f"The last {LAST_LETTERS} dead letters at most, the newest first"
    return page("Dead letters", table(caption, headings, rows, numbers=1), section="/dead-letters", refresh=_REFRESH_S)


def dead_letter_page(letter: DeadLetter, *, mask: bool) -> HttpResponse:
    """Return one dead letter."""
    help_ = REASON_HELP.get(letter.reason)
    record = Record("", 0, 0, letter.source_ms, letter.key, letter.value, letter.headers)
    stub = None if letter.stub_bytes is None else f"not kept: {size(letter.stub_bytes)}"
    return page(
        f"Dead letter {letter.id}",
        facts(
            (
                ("Reason", letter.reason),
                ("Meaning", None if help_ is None else help_.meaning),
                ("What to do", None if help_ is None else help_.remedy),
                ("Detail", letter.detail or None),
                ("Records", f"{letter.count:,}"),
                ("Source", _place(letter.source)),
                ("Written", moment(letter.written_ms)),
                ("Dead-lettered by", letter.group),
                ("Value", stub),
            )
        ),
        *_record("Record", record, mask=mask),
        section="/dead-letters",
    )


def processes_page(found: list[ProcessStatus]) -> HttpResponse:
    """Return what bridges, workers and gateways say of themselves."""
    rows: list[list[Content]] = [
        [
            shown_address(status.address),
            "ready" if status.ready else element("strong", "not ready"),
            status.phase or "-",
            "; ".join(status.reasons) or "-",
            ", ".join(f"{name} {value}" for name, value in status.members.items()) or "-",
        ]
        for status in found
    ]
    hint = None if found else element("p", "Name the health ports of bridges, workers and gateways with --process.")
    headings = ["Health port", "Ready", "Phase", "Why not", "Figures"]
    return page("Processes", table("Processes", headings, rows), hint, section="/processes", refresh=_REFRESH_S)


def sent_page(task_id: str) -> HttpResponse:
    """Return the page after a change."""
    return page(
        "Sent",
        element(
            "p",
            "Kafka has it, and the bridge treats it like any result. The outcome record says what became of it.",
        ),
        element("p", element("a", f"Task {task_id}", href=f"/tasks/{quote(task_id)}")),
        section="/tasks",
    )


def redirect(address: str) -> HttpResponse:
    """Return the answer to a form: the browser opens a page, and a reload does not send the form again."""
    return HttpResponse("changed", HTTPStatus.SEE_OTHER, b"", "text/plain", (*SECURITY, ("Location", address)))


def settings_page(rows: list[tuple[str, str]]) -> HttpResponse:
    """Return the settings of the console's process."""
    names: list[list[Content]] = [[element("code", name), value] for name, value in rows]
    return page("Settings", table("Settings of this process", ["Setting", "Value"], names), section="/settings")


def error_page(title: str, sentence: str, status: HTTPStatus, section: str = "") -> HttpResponse:
    """Return a page that says what is wrong."""
    return page(title, trouble(sentence), section=section, status=status)


def _filters(route: TasksRoute) -> Markup:
    states = [element("option", "any", value="", selected=not route.state)]
    states += [element("option", str(each), value=str(each), selected=route.state == each) for each in TaskState]
    return element(
        "form",
        element("label", "Task id", element("input", name="id", maxlength="16", autocomplete="off")),
        element("label", "Type", element("input", name="type", value=route.task_type)),
        element("label", "State", element("select", *states, name="state")),
        element("label", "Handler", element("input", name="handler", value=route.handler)),
        element("button", "Show"),
        action="/tasks",
        role="search",
    )


def _record(title: str, record: Record | None, *, mask: bool) -> list[Markup]:
    if record is None:
        return [element("h2", title), element("p", "The record is not in Kafka any more.")]
    headers: list[list[Content]] = [[element("code", name), value] for name, value in _headers(record.headers)]
    key = "none" if record.key is None else readable(record.key, longest=_LONGEST_HEADER)
    return [
        element("h2", title),
        facts((("Key", key), ("Size", size(len(record.value or b""))))),
        _payload(record.value or b"", mask=mask),
        element("h2", "Headers"),
        table("Headers; tokens are shortened", ["Name", "Value"], headers),
    ]


def _headers(headers: Headers) -> list[tuple[str, str]]:
    return [
        (name[:_LONGEST_HEADER], "null" if value is None else readable(value, longest=_LONGEST_HEADER))
        for name, value in list(headers)[:100]
    ]


def _payload(value: bytes, *, mask: bool) -> Markup:
    return (
        element("p", _MASKED) if mask else element("pre", readable(value, longest=_LONGEST, lines=True), tabindex="0")
    )


def _invocation(task: PendingTask, admin_url: str) -> Markup:
    parts = urlsplit(admin_url)
    address = urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path.rstrip("/"), "", ""))
    invocation = task.invocation
    href = f"{address}/ui/invocations/{quote(invocation.id)}"
    return element("a", f"{invocation.id} ({invocation.status})", href=href, rel="noreferrer")


def _meaning(reason: str) -> str:
    return REASON_HELP[reason].meaning if reason in REASON_HELP else "not a reason of this version"


def _task(task: PendingTask) -> str:
    return f"/tasks/{quote(task.task_id)}"


def _place(position: Position) -> str:
    return str(position)[:_LONGEST_HEADER]


def _when(at_ms: int | None, now_ms: int) -> str:
    return "not yet" if at_ms is None else f"{moment(at_ms)} ({span(now_ms - at_ms)} ago)"


def _left(deadline_ms: int | None, now_ms: int) -> str:
    if deadline_ms is None:
        return "none"
    left = deadline_ms - now_ms
    return f"in {span(left)}" if left > 0 else f"passed {span(left)} ago"
