"""What became of results: the last outcomes, and a summary of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Final

from kallback.cli.console.outcomes import LAST_OUTCOMES
from kallback.cli.console.pages.layout import page, table, trouble
from kallback.cli.console.pages.markup import Content, Markup, element
from kallback.cli.console.pages.values import REFRESH_S
from kallback.cli.console.routes import OutcomesRoute
from kallback.cli.formatting import moment
from kallback.durations import span
from kallback.protocol import Outcome, OutcomeRecord
from kallback.protocol.by_hand import Deed
from kallback.web import HttpResponse

_LONGEST: Final = 300
_HOUR_MS: Final = 3_600_000
_LAST_HOUR: Final = "Outcomes of the last hour"
_FAILED: Final = "of these failed"
"""Of the delivered ones, beside them."""
_NOT_WRITTEN: Final = "Bridges write outcomes when they run with --outcomes; none is there yet."


def outcomes_page(route: OutcomesRoute, found: Sequence[OutcomeRecord]) -> HttpResponse:
    """Return the last outcomes, as far as they are wanted."""
    shown = [each for each in found if route.accepts(each)]
    return page(
        "Outcomes",
        _filters(route),
        None if found else trouble(_NOT_WRITTEN),
        outcomes_table(f"The last {LAST_OUTCOMES} outcomes at most, the newest first", shown),
        section="/outcomes",
        refresh=REFRESH_S,
    )


def outcomes_table(caption: str, shown: Sequence[OutcomeRecord]) -> Markup:
    """Return outcomes as a table."""
    rows: list[list[Content]] = [
        [
            element("time", moment(each.at_ms)),
            each.outcome.value,
            *((text or "-")[:_LONGEST] for text in (each.result, each.reason, each.task_type)),
            element("span", (each.task_id or "-")[:_LONGEST], class_="id"),
            "-" if each.attempt is None else str(each.attempt),
            *((text or "-")[:_LONGEST] for text in (each.deed, each.why)),
        ]
        for each in shown
    ]
    headings = ["Time", "Outcome", "Result", "Reason", "Type", "Task", "Attempt", "By hand", "Why"]
    return table(caption, headings, rows)


def outcomes_by_type(last: Sequence[OutcomeRecord], now_ms: int) -> Markup:
    """Return a table of task types and outcomes of the last hour; of a shorter time, if there were more than are read.

    Args:
        last: the last outcomes, the newest first.
        now_ms: the end of the hour.
    """
    found = [each for each in last if each.at_ms >= now_ms - _HOUR_MS]
    cut = len(found) >= LAST_OUTCOMES
    caption = f"The last {LAST_OUTCOMES} outcomes, of {span(now_ms - found[-1].at_ms)}" if cut else _LAST_HOUR
    kinds = [each for each in Outcome if any(one.outcome is each for one in found)]
    counts = Counter(((each.task_type or "unknown")[:_LONGEST], each.outcome) for each in found)
    types = sorted({name for name, _ in counts})
    columns = {each.value: Counter({name: counts[name, each] for name in types}) for each in kinds}
    if Outcome.DELIVERED in kinds:
        delivered = [each for each in found if each.outcome is Outcome.DELIVERED and each.did == Deed.FAILED]
        failed = Counter((each.task_type or "unknown")[:_LONGEST] for each in delivered)
        first = Outcome.DELIVERED.value
        columns = {first: columns.pop(first), _FAILED: failed, **columns}
    rows: list[list[Content]] = [[name, *(f"{each[name]:,}" for each in columns.values())] for name in types]
    return table(caption, ["Type", *columns], rows, numbers=len(columns))


def _filters(route: OutcomesRoute) -> Markup:
    results = [element("option", "any", value="", selected=not route.result)]
    results += [element("option", each.value, value=each.value, selected=route.result == each) for each in Deed]
    kinds = [element("option", "any", value="", selected=not route.outcome)]
    kinds += [element("option", each.value, value=each.value, selected=route.outcome == each) for each in Outcome]
    return element(
        "form",
        element("label", "Task id", element("input", name="id", maxlength="16", value=route.task_id)),
        element("label", "Type", element("input", name="type", value=route.task_type)),
        element("label", "Outcome", element("select", *kinds, name="outcome")),
        element("label", "Result", element("select", *results, name="result")),
        element(
            "label", "By hand", element("input", type="checkbox", name="by_hand", value="1", checked=route.by_hand)
        ),
        element("button", "Show"),
        action="/outcomes",
        role="search",
    )
