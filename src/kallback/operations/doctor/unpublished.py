"""Handlers whose tasks Kafka does not take: they wait between two tries of their publishing steps.

    Command: Sleep      wait for Kafka, then publish shop.pack     until then the handler does not try again
    Notification: Run   {"failures":{"0":{... "detail": "..."}}}   why the last try failed

Such tasks have no record, so no list of pending tasks has them.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Final, NamedTuple

import msgspec

from kallback.operations.doctor.findings import Finding, follows, problem, warning
from kallback.operations.introspection import RowSource
from kallback.operations.invocations import shortened_target
from kallback.operations.journals.entries import decoded_run, decoded_step
from kallback.operations.journals.queries import quoted

_NEWEST: Final = 1000
"""Open invocations that are looked at."""
_EXAMPLES: Final = 20
"""Of them, those whose failures are read."""
_TRY_MS: Final = 35_000
"""As long a try takes at most, after the wait."""
_LONGEST_BYTES: Final = 65_536
_FAILURES: Final = ",".join(map(str, b'"failures":'))
"""Of the value of a publishing step, as Restate writes bytes in JSON."""
_UNREACHABLE: Final = "unreachable"
"""The type of a failure after which Kafka may take the record later; of a topic that is missing it is `not-set-up`."""
_WAIT: Final = re.compile(r"wait for Kafka, then publish ([A-Za-z0-9._-]{1,128})(?: attempt \d+)?", re.ASCII)


class _OpenRow(msgspec.Struct):
    id: str
    target: str


class _WaitRow(msgspec.Struct):
    id: str
    entry_lite_json: str = ""
    name: str | None = None


class _TriedRow(msgspec.Struct):
    id: str
    entry_json: str | None = None


class _PublishFailure(msgspec.Struct):
    type: str = ""
    detail: str = ""


class _FailedTry(msgspec.Struct):
    failures: dict[str, _PublishFailure] = {}


class UnpublishedTask(NamedTuple):
    """A task that a handler cannot publish.

    Attributes:
        why: the last try failed; empty if that cannot be read.
        is_kafka_away: it failed because Kafka gave no answer, not because something is missing there.
    """

    target: str
    task_type: str
    why: str
    is_kafka_away: bool = False


async def read_unpublished(introspection: RowSource, now_ms: int) -> list[UnpublishedTask]:
    """Return those of the newest open invocations that wait for Kafka now; raises as `Introspection.rows`."""
    invocations = await introspection.rows(
        "SELECT id, target FROM sys_invocation_status WHERE status IN ('invoked', 'suspended') "  # noqa: S608 - a number
        f"ORDER BY created_at DESC LIMIT {_NEWEST}",
        _OpenRow,
    )
    if not invocations:
        return []
    targets = {each.id: each.target for each in invocations}
    steps = await introspection.rows(
        f"SELECT id, name, entry_lite_json FROM sys_journal WHERE id IN ({quoted(targets)}) "  # noqa: S608 - `quoted` lets ids through only
        "AND entry_type = 'Command: Sleep' AND name LIKE 'wait for Kafka, then publish %'",
        _WaitRow,
    )
    waiting = dict(_waiting(steps, now_ms))
    if not waiting:
        return []
    values = await introspection.rows(
        f"SELECT id, entry_json FROM sys_journal WHERE id IN ({quoted(list(waiting)[:_EXAMPLES])}) "  # noqa: S608 - as above
        f"AND entry_type = 'Notification: Run' AND raw_length <= {_LONGEST_BYTES} AND entry_json LIKE '%{_FAILURES}%'",
        _TriedRow,
    )
    reasons = _reasons(values)
    unknown = _PublishFailure()
    return [
        UnpublishedTask(targets[each], name, failure.detail, is_kafka_away=failure.type == _UNREACHABLE)
        for each, name in waiting.items()
        for failure in (reasons.get(each, unknown),)
    ]


def unpublished_findings(
    found: Sequence[UnpublishedTask], *, may_be_of_others: bool, is_kafka_away: bool = False
) -> Iterator[Finding]:
    """One finding for each type.

    Args:
        found: of any application in this Restate.
        may_be_of_others: several environments share it: then it is a warning.
        is_kafka_away: Kafka does not answer here either, which is a finding already.
    """
    types = defaultdict[str, list[UnpublishedTask]](list)
    for each in found:
        types[each.task_type].append(each)
    for name, own in sorted(types.items()):
        handlers = "1 handler waits" if len(own) == 1 else f"{len(own):,} handlers wait"
        said = f"{handlers} to publish tasks of type {name}, such as {shortened_target(own[0].target)}"
        if is_kafka_away and all(each.is_kafka_away for each in own):
            yield follows("publish", said)
            continue
        why = next((each.why for each in own if each.why), "why cannot be read")
        yield (warning if may_be_of_others else problem)(
            "publish",
            f"{said}: {why}",
            "repair it: they try again by themselves, until KALLBACK_KAFKA_SETUP_TIMEOUT has passed if a topic or a "
            "permission is missing, and otherwise until the deadline",
        )


def _waiting(steps: Sequence[_WaitRow], now_ms: int) -> Iterator[tuple[str, str]]:
    """Invocations that wait, or have just begun another try, with the type of the task."""
    for step in steps:
        shape, command = _WAIT.fullmatch(step.name or ""), decoded_step(step.entry_lite_json).command
        sleep = None if command is None else command.sleep
        if shape is not None and sleep is not None and sleep.wake_up_time + _TRY_MS > now_ms:
            yield step.id, shape[1]


def _reasons(values: Sequence[_TriedRow]) -> Mapping[str, _PublishFailure]:
    """Why the last try of each invocation failed."""
    latest = dict[str, tuple[int, _PublishFailure]]()
    for value in values:
        run = decoded_run(value.entry_json or "")
        if run is None:
            continue
        try:
            failures = msgspec.json.decode(run.content, type=_FailedTry).failures
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            continue
        failure = next(iter(failures.values()), None)
        if failure is not None and (value.id not in latest or run.completion_id >= latest[value.id][0]):
            latest[value.id] = run.completion_id, failure
    return {invocation: failure for invocation, (_, failure) in latest.items()}
