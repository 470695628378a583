"""Was a handler started again without a cause? Pure.

Restate starts a handler again after it was suspended: that needs no cause. Every other attempt of a handler is started
again only if the one before was lost, and it may be lost only with what the run itself broke: the service's process,
or Restate.
"""

from __future__ import annotations

from collections import defaultdict
from itertools import pairwise
from typing import Final

from chaos.evidence import Check, Evidence, HandlerStart
from chaos.plan import Plan, Target
from chaos.work import SUSPENDED

_SLACK: Final = 5.0
"""Seconds after an outage in which a connection that it broke may still be missed."""
_BROKEN_BY: Final = frozenset({Target.SERVICE, Target.RESTATE})


def started_again_with_cause(plan: Plan, seen: Evidence) -> Check:
    """No handler was started twice without a cause that the run injected."""
    del plan
    attempts: dict[str, list[HandlerStart]] = defaultdict(list)
    for start in sorted(seen.starts, key=lambda start: start.began):
        attempts[start.invocation_id].append(start)
    again = [pair for starts in attempts.values() for pair in pairwise(starts)]
    lost = [(earlier, later) for earlier, later in again if earlier.how != SUSPENDED]
    wrong = tuple(_told(earlier, later) for earlier, later in lost if not _has_cause(earlier, later, seen))
    sentence = f"{len(seen.starts)} starts of {len(attempts)} handlers, {len(lost)} of them after an outage"
    return Check(f"{sentence}, none without a cause", wrong)


def _has_cause(earlier: HandlerStart, later: HandlerStart, seen: Evidence) -> bool:
    """Whether an outage came between the beginning of an attempt and its loss, or shortly before the loss."""
    lost = later.began if earlier.ended is None else earlier.ended
    return any(
        outage.target in _BROKEN_BY and outage.began <= lost and earlier.began <= outage.ended + _SLACK
        for outage in seen.outages
        if earlier.ended is None or lost <= outage.ended + _SLACK
    )


def _told(earlier: HandlerStart, later: HandlerStart) -> str:
    end = "was lost with its process" if earlier.ended is None else f"ended with {earlier.how}"
    return (
        f"{earlier.invocation_id} was started again {later.began - earlier.began:.1f} s after an attempt that {end}, "
        "and neither the service nor Restate was broken then"
    )
