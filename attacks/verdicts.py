"""What one attack may cost, what it did cost, and whether that is within the bounds. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

MIB: Final = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """What an attack may cost.

    Attributes:
        wait_s: longest wait of a good call, in seconds.
        median_s: median wait of the good calls that begin before every position has reached the end.
        bridge_mib: peak resident memory of the bridge.
        worker_mib: the same of the worker, whose function is trivial.
        held_ms: CPU time of the event loop's thread in one callback of bridge or worker, in milliseconds.
        probe_s: longest wait for `/livez`; orchestrators give up after 5 s by default in our pages.
        log_lines: lines that bridge and worker write, together.
        written: bytes that the product writes to Kafka because of the attack.
        settle_s: seconds after the attack until every position that a group commits has reached the end.
    """

    wait_s: float = 5.0
    median_s: float = 5.0
    bridge_mib: float = 150.0
    worker_mib: float = 120.0
    held_ms: float = 50.0
    probe_s: float = 5.0
    log_lines: int = 300
    written: int = 64 * MIB
    settle_s: float = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """What an attack did cost; the names are those of `Bounds`.

    Attributes:
        sent: bytes of the attack on the broker.
        calls: good calls that were answered.
        lag_s: longest time by which the clock of the measuring process was late: the machine was busy for so long.
        load: of the machine at the end, over one minute: waits grow with it.
        trouble: what else is wrong, in sentences; a process that ended, a call that failed, a finding of the attack.
    """

    sent: int
    calls: int
    wait_s: float
    bridge_mib: float
    worker_mib: float
    held_ms: float
    median_s: float = 0.0
    held_by: str = ""
    probe_s: float = 0.0
    log_lines: int = 0
    written: int = 0
    settle_s: float | None = 0.0
    lag_s: float = 0.0
    load: float = 0.0
    trouble: tuple[str, ...] = ()


def not_measured(why: str) -> Measurement:
    """What is found of an attack that could not be run."""
    return Measurement(sent=0, calls=0, wait_s=0.0, bridge_mib=0.0, worker_mib=0.0, held_ms=0.0, trouble=(why,))


def violations(found: Measurement, bounds: Bounds) -> tuple[str, ...]:
    """Say which bounds do not hold; none if all do.

    The time for which the machine itself was busy is added to the bounds of waits.
    """
    limits = (
        ("a good call waits", found.wait_s, bounds.wait_s + found.lag_s, "s"),
        ("half of the good calls wait", found.median_s, bounds.median_s + found.lag_s, "s"),
        ("the bridge takes", found.bridge_mib, bounds.bridge_mib, "MiB"),
        ("the worker takes", found.worker_mib, bounds.worker_mib, "MiB"),
        (f"{found.held_by or 'a callback'} holds the loop", found.held_ms, bounds.held_ms, "ms"),
        ("/livez takes", found.probe_s, bounds.probe_s + found.lag_s, "s"),
        ("bridge and worker log", found.log_lines, bounds.log_lines, "lines"),
        ("bridge and worker write", found.written / MIB, bounds.written / MIB, "MiB"),
    )
    exceeded = [
        f"{what} {value:.3g} {unit}, {limit:.3g} are allowed" for what, value, limit, unit in limits if value > limit
    ]
    if found.settle_s is None or found.settle_s > bounds.settle_s:
        exceeded.append(f"positions stand below the end {bounds.settle_s:g} s after the attack")
    if found.calls == 0:
        exceeded.append("no good call was answered")
    return (*exceeded, *found.trouble)
