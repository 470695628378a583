"""Small charts as SVG, drawn on the server: no script, no style attribute, no library. A sentence says the same."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from kallback.cli.console.pages.markup import Markup, element

_WIDTH: Final = 300
_HEIGHT: Final = 60
_SPAN_MS: Final = 3_600_000
"""The last hour, from left to right."""


def line_chart(title: str, points: Sequence[tuple[int, float]], now_ms: int) -> Markup:
    """Return the course of a figure over the last hour.

    Args:
        title: what it is.
        points: epoch milliseconds with the figure, in order of time.
        now_ms: the right edge.
    """
    shown = [point for point in points if point[0] >= now_ms - _SPAN_MS]
    if not shown:
        return element("figure", element("figcaption", title, element("strong", "not known yet")))
    highest = max(value for _, value in shown)
    now, most = _number(shown[-1][1]), _number(highest)
    course = " ".join(f"{_x(at_ms, now_ms):.1f},{_y(value, highest):.1f}" for at_ms, value in shown)
    first, last = _x(shown[0][0], now_ms), _x(shown[-1][0], now_ms)
    return element(
        "figure",
        element("figcaption", title, element("strong", now)),
        element(
            "svg",
            element("polygon", points=f"{first:.1f},{_HEIGHT} {course} {last:.1f},{_HEIGHT}"),
            element("polyline", points=course),
            viewBox=f"0 0 {_WIDTH} {_HEIGHT}",
            preserveAspectRatio="none",
            role="img",
            aria_label=f"{title} in the last hour: {now} now, {most} at most",
        ),
        element("small", f"last hour, {most} at most"),
    )


def _x(at_ms: int, now_ms: int) -> float:
    return _WIDTH * (1 - (now_ms - at_ms) / _SPAN_MS)


def _y(value: float, highest: float) -> float:
    return _HEIGHT - (_HEIGHT - 2) * value / (highest or 1)


def _number(value: float) -> str:
    return f"{value:,.0f}" if value == int(value) else f"{value:,.1f}"
