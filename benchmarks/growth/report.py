"""Writes the tables of the last run into docs/performance.md. `python -m benchmarks.growth.report`."""

from __future__ import annotations

import json
from typing import Final

from benchmarks.growth.curves import as_markdown
from benchmarks.report import DOCUMENT, ROOT, replace_figures

FILE: Final = ROOT / "benchmarks" / "out" / "growth.json"
BEGIN: Final = "<!-- growth: written by `python -m benchmarks.growth.report` -->"
END: Final = "<!-- end of growth -->"


def main() -> None:
    """Write."""
    tables = as_markdown(json.loads(FILE.read_text()))
    DOCUMENT.write_text(replace_figures(DOCUMENT.read_text(), tables, BEGIN, END))
    print(f"{DOCUMENT.relative_to(ROOT)} has the tables of {FILE.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
