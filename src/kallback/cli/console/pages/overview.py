"""The first page."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final
from urllib.parse import quote

from kallback.cli.console.outcomes import latency_of
from kallback.cli.console.overview import Overview
from kallback.cli.console.pages.charts import line_chart
from kallback.cli.console.pages.layout import facts, page, table, trouble
from kallback.cli.console.pages.markup import Content, Markup, element
from kallback.cli.console.pages.outcomes import outcomes_by_type
from kallback.cli.console.pages.tasks import task_link
from kallback.cli.console.pages.values import REFRESH_S
from kallback.cli.console.sources import LAST_LETTERS
from kallback.cli.console.traffic import TrafficSample, lags, rates
from kallback.cli.dead_letters.reason_help import REASON_HELP
from kallback.cli.formatting import moment, within
from kallback.durations import span
from kallback.operations import TaskState
from kallback.web import HttpResponse

_LONGEST_CELL: Final = 120


def overview_page(overview: Overview, samples: Sequence[TrafficSample], now_ms: int) -> HttpResponse:
    """Return the first page."""
    return page(
        "Overview",
        *map(trouble, overview.failures),
        facts(_figures(overview, now_ms)),
        element(
            "div",
            line_chart("Results per second", rates(samples, lambda each: each.results), now_ms),
            line_chart("Bridge lag, results", lags(samples), now_ms),
            line_chart("Dead letters per second", rates(samples, lambda each: each.dead_letters), now_ms),
            class_="charts",
        ),
        element("h2", "Pending tasks by type"),
        _tasks(overview),
        element("h2", "Outcomes by type"),
        outcomes_by_type(overview.outcomes, now_ms),
        element("h2", "Dead letters by reason"),
        _letters(overview),
        section="/",
        refresh=REFRESH_S,
    )


def _figures(overview: Overview, now_ms: int) -> list[tuple[str, Content]]:
    oldest, latency = overview.oldest, latency_of(overview.outcomes)
    return [
        ("Pending tasks", f"{'more than ' if overview.has_more else ''}{overview.tasks.total():,}"),
        (
            "Oldest",
            None
            if oldest is None
            else element("a", f"{span(now_ms - oldest.created_ms)} ({oldest.task_type})", href=task_link(oldest)),
        ),
        (
            "From result to delivery",
            None if latency is None else f"{latency.median_ms:,} ms median, {latency.slowest_ms:,} ms at most",
        ),
        ("Handlers with a result that have not gone on", f"{len(overview.untaken):,}" if overview.untaken else None),
        ("Unreadable journals", f"{overview.unreadable:,}" if overview.unreadable else None),
        ("Read at", moment(overview.read_ms)),
    ]


def _tasks(overview: Overview) -> Markup:
    rows: list[list[Content]] = [
        [
            element("a", task_type, href=f"/tasks?type={quote(task_type)}"),
            *(f"{overview.tasks[task_type, state]:,}" for state in TaskState),
        ]
        for task_type in sorted({task_type for task_type, _ in overview.tasks})
    ]
    return table("Pending tasks by type and state", ["Type", *map(str, TaskState)], rows, numbers=len(TaskState))


def _letters(overview: Overview) -> Markup:
    rows: list[list[Content]] = [
        [within(reason, _LONGEST_CELL), _meaning(reason), f"{count:,}"]
        for reason, count in overview.letters.most_common()
    ]
    return table(f"Of the last {LAST_LETTERS} dead letters", ["Reason", "Meaning", "Records"], rows, numbers=1)


def _meaning(reason: str) -> str:
    return REASON_HELP[reason].meaning if reason in REASON_HELP else "not a reason of this version"
