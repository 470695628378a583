"""Consecutive records that a consumer's screen refuses, as one record: a flood takes no more of the buffer than one.

The runs of a partition are extended while they wait in its buffer, so however long a flood is, what lies behind it is
read.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from kallback.kafka.records import Record, Refusal, RefusedRun, Screen

MAX_RUN: Final = 100_000
"""Records of one run: a summary counts a million at most."""


def folded(records: Sequence[Record], screen: Screen) -> Sequence[Record]:
    """Return the records, with one in place of each run of refused ones. A batch has far less than `MAX_RUN`."""
    screened = screen(records)
    if screened is None:
        return records
    kept: list[Record] = []
    run: RefusedRun | None = None
    for record, found in zip(records, screened, strict=True):
        if not isinstance(found, Refusal):
            kept.append(record if found is None else msgspec.structs.replace(record, screened=found))
            run = None
        elif run is not None and run.end == record.offset and run.refusal.is_like(found):
            run.count += 1
            run.end += 1
            run.last_ms = record.timestamp_ms
        else:
            run = RefusedRun(found, 1, record.next_offset, record.timestamp_ms)
            kept.append(msgspec.structs.replace(record, refused=run))
    return kept


def extends(run: RefusedRun, record: Record) -> bool:
    """Add the run that a record stands for to an earlier one; return False if it does not continue that one."""
    more = record.refused
    if more is None or run.end != record.offset or not run.refusal.is_like(more.refusal):
        return False
    if run.count + more.count > MAX_RUN:
        return False
    run.count += more.count
    run.end = more.end
    run.last_ms = more.last_ms
    return True
