"""Writes the tables of the last runs into docs/performance.md. `python -m benchmarks.growth.report`.

They replace those that the page has, so it refuses to lose a curve of which there is no run.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from benchmarks.growth.curves import CURVES, as_markdown
from benchmarks.report import DOCUMENT, ROOT, replace_figures

FILE: Final = ROOT / "benchmarks" / "out" / "growth.json"
BEGIN: Final = "<!-- growth: written by `python -m benchmarks.growth.report` -->"
END: Final = "<!-- end of growth -->"


def main(arguments: Sequence[str] | None = None) -> None:
    """Write."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.growth.report", description=__doc__)
    parser.parse_args(arguments)
    document: dict[str, Any] = json.loads(FILE.read_text()) if FILE.exists() else {}
    page = DOCUMENT.read_text()
    if lost := ",".join(lost_curves(document, page)):
        parser.error(f"the page would lose curves: run `python -m benchmarks.growth --only {lost}` first")
    DOCUMENT.write_text(replace_figures(page, as_markdown(document), BEGIN, END))
    print(f"{DOCUMENT.relative_to(ROOT)} has the tables of {FILE.relative_to(ROOT)}")


def lost_curves(document: Mapping[str, Any], page: str) -> list[str]:
    """Return the names of the curves that a page has and a run has not."""
    return [curve.name for curve in CURVES if f"\n| {curve.axis} |" in page and curve.name not in document]


if __name__ == "__main__":
    main()
