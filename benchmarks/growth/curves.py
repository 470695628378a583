"""The curves, what is measured at each of their points, and tables of the medians. Pure."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from benchmarks.report import number

Rounds = Mapping[str, Sequence[float]]
"""The values of a point, one of each round, by figure."""


@dataclass(frozen=True)
class Curve:
    """One curve.

    Attributes:
        name: for `--only`.
        axis: what grows.
        figures: what is measured at each point, by name, with the head of its column.
    """

    name: str
    axis: str
    figures: Mapping[str, str]


_RATE: Final = {"per_s": "results/s"}
_CPU: Final = {"cpu_us": "bridge CPU of a result, us"}

CURVES: Final = (
    Curve("partitions", "partitions", _RATE | _CPU),
    Curve("values", "size of a value", _RATE | {"mb_per_s": "MB/s"} | _CPU | {"peak_rss_mib": "peak RSS, MiB"}),
    Curve("waiting", "tasks that wait in Restate", _RATE | _CPU),
    Curve("bridges", "bridges", _RATE | _CPU),
    Curve(
        "history",
        "records before the first one",
        {"committed_s": "first completion after, s", "new_s": "the same for a new group, s"},
    ),
)
"""All curves, in the order in which they are measured."""


def by_name(names: Sequence[str]) -> list[Curve]:
    """The curves with these names, in their own order.

    Raises:
        ValueError: there is no such curve.
    """
    known = {curve.name: curve for curve in CURVES}
    if unknown := set(names) - set(known):
        raise ValueError(f"no curve is called {', '.join(sorted(unknown))}: choose of {', '.join(known)}")
    return [curve for curve in CURVES if curve.name in names]


def size_text(size: int) -> str:
    """A number of bytes as people write it."""
    return f"{size // 1000} KB" if size >= 1000 else f"{size} B"  # noqa: PLR2004 - SI


def scaled(sizes: Sequence[int], scale: float) -> list[int]:
    """A part of some sizes, to try a curve; 0 stays 0, and the others stay different."""
    found = list[int]()
    for size in sizes:
        part = int(size * scale)
        found.append(part if size == 0 or (part and part not in found) else max([0, *found]) + 1)
    return found


def results_of(size: int, results: int, most_bytes: int) -> int:
    """How many results of a size make a drain: no more bytes than that, and at least 64."""
    return min(results, max(64, most_bytes // size))


def rows(curve: Curve, points: Mapping[str, Rounds]) -> Iterator[tuple[str, ...]]:
    """The head of a curve's table, then the median of each figure, with the lowest and the highest round."""
    yield curve.axis, *curve.figures.values()
    for label, measured in points.items():
        yield label, *(_cell(measured.get(figure, ())) for figure in curve.figures)


def _cell(values: Sequence[float]) -> str:
    if not values:
        return "absent"
    median, lowest, highest = (number(each) for each in (statistics.median(values), min(values), max(values)))
    return median if lowest == highest else f"{median} ({lowest} to {highest})"


def as_text(document: Mapping[str, Any]) -> str:
    """All tables, for a terminal: of a run's document, which has the name of each curve that was measured."""
    return "\n\n".join(
        "\n".join([_conditions(document[curve.name]), *_columns(list(table))]) for curve, table in _tables(document)
    )


def as_markdown(document: Mapping[str, Any]) -> str:
    """The same as Markdown."""
    parts = list[str]()
    for curve, (head, *table) in _tables(document):
        rule = "|".join("---:" for _ in head[1:])
        lines = [f"| {' | '.join(row)} |" for row in (head, *table)]
        parts.append("\n".join([_conditions(document[curve.name]), "", lines[0], f"|---|{rule}|", *lines[1:]]))
    return "\n\n".join(parts)


def _tables(document: Mapping[str, Any]) -> Iterator[tuple[Curve, Iterator[tuple[str, ...]]]]:
    for curve in CURVES:
        if curve.name in document:
            yield curve, rows(curve, document[curve.name]["points"])


def _conditions(measured: Mapping[str, Any]) -> str:
    """What a curve was measured on, and how."""
    machine, options, (before, after) = measured["machine"], measured["options"], measured["surroundings"]
    rounds = f"{options['rounds']} {'round' if options['rounds'] == 1 else 'rounds'}"
    return (
        f"{measured['at']}, {machine['processor']}, {machine['cores']} cores, Python {machine['python']}, "
        f"{machine['kafka']}, Restate {machine['restate']}; load average {before['load_average']:g} and "
        f"{after['load_average']:g}, CPU of one HMAC {before['yardstick_us']:g} and {after['yardstick_us']:g} us; "
        f"--completer {options['mode']}, at most {options['results']:,} results per drain, {rounds}."
    )


def _columns(table: list[tuple[str, ...]]) -> Iterator[str]:
    widths = [max(len(row[column]) for row in table) for column in range(len(table[0]))]
    for row in table:
        cells = (cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))
        yield "  ".join([row[0].ljust(widths[0]), *cells])
