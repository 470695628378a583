"""What a table of metrics says, and what a process exposes, in the same form."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from prometheus_client.core import Metric

DOCS = Path(__file__).parents[3] / "docs"
ROW = re.compile(r"^\| `(\w+)` \| (\w+)(?:, always 1)?(?:; ([\w, ]+))? \|", re.MULTILINE)
SUFFIXES = {"counter": "_total", "info": "_info"}

MetricTable = dict[str, tuple[str, frozenset[str]]]
"""Kind and labels by name."""


def documented(page: str, prefix: str) -> MetricTable:
    """The rows of a page for metrics that begin so."""
    rows = ROW.findall((DOCS / page).read_text("utf-8"))
    return {
        name: (kind, frozenset(filter(None, labels.split(", "))))
        for name, kind, labels in rows
        if name.startswith(prefix)
    }


def exposed(families: Iterable[Metric]) -> MetricTable:
    """The metrics of a process, with or without samples."""
    return {
        shown(family): ("gauge" if family.type == "info" else family.type, labels_of(family)) for family in families
    }


def shown(family: Metric) -> str:
    """The name of a family as a scrape shows it."""
    name = family.name + SUFFIXES.get(family.type, "")
    return f"{name}_info" if name.endswith("_build") else name


def labels_of(family: Metric) -> frozenset[str]:
    """Its labels, but for that of a histogram's buckets."""
    names = getattr(family, "_labelnames", ()) or [name for sample in family.samples for name in sample.labels]
    return frozenset(names) - {"le"}
