"""Say in one line what the test run skipped and why, from pytest's XML reports in a folder."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path
from xml.etree import ElementTree as ET


def main(folder: Path) -> None:
    """Print the line."""
    reasons: Counter[str] = Counter()
    tests = 0
    for report in sorted(folder.glob("*.xml")):
        root = ET.parse(report).getroot()  # noqa: S314 - our own report
        tests += sum(1 for _ in root.iter("testcase"))
        reasons.update(skip.get("message", "no reason") for skip in root.iter("skipped"))
    skipped = "; ".join(f"{count} because {reason}" for reason, count in reasons.items()) or "nothing"
    print(f"{tests} tests; skipped: {skipped}")  # noqa: T201 - its purpose


if __name__ == "__main__":
    main(Path(sys.argv[1]))
