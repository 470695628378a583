"""The table of a run: one line for each attack, and a line for each bound that does not hold. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from attacks.verdicts import MIB, Bounds, Measurement, violations

_HEADINGS: Final = (
    "attack",
    "on the broker",
    "written",
    "calls",
    "longest wait",
    "median wait",
    "bridge",
    "worker",
    "loop held",
    "probe",
    "log lines",
    "settled",
    "load",
    "verdict",
)


@dataclass(frozen=True, slots=True)
class AttackResult:
    """An attack that was run."""

    name: str
    bounds: Bounds
    found: Measurement

    @property
    def violations(self) -> tuple[str, ...]:
        """The bounds that do not hold, in sentences."""
        return violations(self.found, self.bounds)


def as_text(results: Sequence[AttackResult]) -> str:
    """The table, its figures against their bounds, and what is wrong below it."""
    rows = [_HEADINGS, *(_row(result) for result in results)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEADINGS))]
    lines = ["  ".join(_aligned(row, widths)).rstrip() for row in rows]
    wrong = [f"{result.name}: {sentence}" for result in results for sentence in result.violations]
    return "\n".join([*lines, *(["", *wrong] if wrong else [])])


def _aligned(row: tuple[str, ...], widths: list[int]) -> Iterable[str]:
    first, *rest = zip(row, widths, strict=True)
    yield first[0].ljust(first[1])
    yield from (cell.rjust(width) for cell, width in rest)


def _row(result: AttackResult) -> tuple[str, ...]:
    found, bounds = result.found, result.bounds
    return (
        result.name,
        size(found.sent),
        f"{size(found.written)} of {size(bounds.written)}",
        str(found.calls),
        f"{found.wait_s:.2f} of {bounds.wait_s:g} s",
        f"{found.median_s:.2f} of {bounds.median_s:g} s",
        f"{found.bridge_mib:.0f} of {bounds.bridge_mib:g} MiB",
        f"{found.worker_mib:.0f} of {bounds.worker_mib:g} MiB",
        f"{found.held_ms:.0f} of {bounds.held_ms:g} ms",
        f"{found.probe_s:.2f} of {bounds.probe_s:g} s",
        f"{found.log_lines} of {bounds.log_lines}",
        "never" if found.settle_s is None else f"{found.settle_s:.0f} of {bounds.settle_s:g} s",
        f"{found.load:.0f}",
        "FAILED" if result.violations else "ok",
    )


def size(count: int) -> str:
    """Bytes in a unit that people read."""
    kib = 1024
    if count < kib:
        return f"{count} B"
    return f"{count / kib:.0f} KiB" if count < MIB else f"{count / MIB:.1f} MiB"
