"""Tables of a run: for the terminal, and for docs/performance.md, which keeps its own words around them.

`python -m benchmarks.report` also writes figures into the sentences of pages: `<!-- drain.naive_per_s -->450`. It
refuses those of a run that began while the machine did other things.
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from benchmarks import history
from benchmarks.figures import KEYS, Samples, from_json, target_results

ROOT: Final = Path(__file__).parents[1]
BENCH: Final = ROOT / "benchmarks" / "out" / "bench.json"
DOCUMENT: Final = ROOT / "docs" / "performance.md"
BEGIN: Final = "<!-- figures: written by `python -m benchmarks.report` -->"
END: Final = "<!-- end of figures -->"
_IN_A_SENTENCE: Final = re.compile(r"(<!-- ([\w.]+) -->)[\d.,]*\d")


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the figures of the last run into the documents."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.report", description=__doc__)
    parser.add_argument("--force", action="store_true", help="also of a run on a machine that did other things")
    options = parser.parse_args(arguments)
    run = json.loads(BENCH.read_text())
    if not (options.force or history.is_quiet(run)):
        parser.error(
            f"the run of {run['at']} began while other programs were running: run `make bench` on a quiet machine, or "
            "add --force"
        )
    DOCUMENT.write_text(replace_figures(DOCUMENT.read_text(), as_markdown(run)))
    for page in (ROOT / "docs").glob("*.md"):
        before = page.read_text()
        after = replace_sentences(before, from_json(run))
        if page == DOCUMENT or after != before:
            page.write_text(after)
            print(f"{page.relative_to(ROOT)} has the figures of {BENCH.relative_to(ROOT)}")


def replace_figures(text: str, figures: str, begin: str = BEGIN, end: str = END) -> str:
    """Put the figures between the markers.

    Raises:
        ValueError: a marker is missing.
    """
    before, found_begin, rest = text.partition(begin)
    _, found_end, after = rest.partition(end)
    if not (found_begin and found_end):
        raise ValueError(f"the document needs the lines {begin} and {end}")
    return f"{before}{begin}\n{figures}\n{end}{after}"


def replace_sentences(text: str, samples: Samples) -> str:
    """Put medians behind the comments that name them; those that the run does not have stay."""

    def figure(found: re.Match[str]) -> str:
        median = samples.median(found[2])
        return found[0] if median is None else found[1] + number(median)

    return _IN_A_SENTENCE.sub(figure, text)


def as_markdown(document: Mapping[str, Any]) -> str:
    """The tables as Markdown, with what they were measured on."""
    samples = from_json(document)
    parts = [
        _conditions(document),
        "| figure | median | lowest | highest | rounds |\n|---|---:|---:|---:|---:|",
        *(f"| {' | '.join(row)} |" for row in _rows(samples)),
        "",
        "| target | wanted | got | |\n|---|---:|---:|---|",
        *(f"| {' | '.join(row)} |" for row in _verdicts(samples)),
        *(f"\n{line}" for line in _absences(samples)),
    ]
    return "\n".join(parts)


def as_text(document: Mapping[str, Any]) -> str:
    """The same for a terminal."""
    samples = from_json(document)
    figures = [("figure", "median", "lowest", "highest", "rounds"), *_rows(samples)]
    verdicts = [("target", "wanted", "got", ""), *_verdicts(samples)]
    return "\n".join([_conditions(document), *_columns(figures), "", *_columns(verdicts), *_absences(samples)])


def _conditions(document: Mapping[str, Any]) -> str:
    machine, options, surroundings = document["machine"], document["options"], document["surroundings"]
    return (
        f"Run of {document['at']}, {document['took_s']} s: {machine['processor']}, {machine['cores']} cores, "
        f"{machine['memory_gib']} GiB, {machine['system']}, Python {machine['python']}, {machine['kafka']}, "
        f"Restate {machine['restate']}. Load average between the rounds: {_listed(surroundings, 'load_average')} (the "
        f"run's own load included); CPU of one HMAC then: {_listed(surroundings, 'yardstick_us')} us. "
        f"{options['results']:,} results per drain, {options['memory_results']:,} for memory.\n"
    )


def _listed(surroundings: list[dict[str, float]], name: str) -> str:
    return ", ".join(f"{each[name]:g}" for each in surroundings)


def _rows(samples: Samples) -> Iterable[tuple[str, ...]]:
    for key in KEYS:
        values, median = samples.values.get(key), samples.median(key)
        if values is None or median is None:
            yield key, "absent", "", "", "0"
        else:
            yield key, number(median), number(min(values)), number(max(values)), str(len(values))


def _absences(samples: Samples) -> Iterable[str]:
    for key, reason in samples.absent.items():
        yield f"Absent: {key}, for {reason}."


def _verdicts(samples: Samples) -> Iterable[tuple[str, ...]]:
    for result in target_results(samples):
        target = result.target
        sign = ">=" if target.at_least else "<="
        got = "" if result.value is None else f"{number(result.value)} {target.unit}"
        yield target.name, f"{sign} {target.limit:g} {target.unit}", got, result.verdict


def number(value: float) -> str:
    """Three digits that matter."""
    if value >= 100:  # noqa: PLR2004 - three digits before the point
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"  # noqa: PLR2004 - likewise


def _columns(rows: list[tuple[str, ...]]) -> Iterable[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        first, *rest = (cell.rjust(width) for cell, width in zip(row, widths, strict=True))
        yield "  ".join([row[0].ljust(len(first)), *rest])


if __name__ == "__main__":
    main()
