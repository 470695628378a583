"""Calls the Restate services that monitor tasks, over two paths of HTTP ingress.

`/send` is accepted (202) when it is durable; the bridge does not wait for what the service does. A Restate without
these services is a deployment that does not use them: nothing is lost then.

What is sent to a service that does not answer waits in Restate. So all reports of one bridge and topic have the same
idempotency key: while one waits, Restate adds no other, and says so. The services keep nothing of one that is done.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from enum import Enum
from functools import partial
from typing import Final, Protocol

import msgspec

from kallback.bridge.completers.ingress import JSON
from kallback.bridge.completers.replies import excerpt_of
from kallback.bridge.progress.decide import ProgressUpdate
from kallback.bridge.restate.client import RestateHttp
from kallback.bridge.restate.requests import HttpAnswer, HttpResult
from kallback.protocol import PLAIN_NAMES, Heard, Marks, ServiceNames
from kallback.protocol.values.bounded_reading import read_json
from kallback.settings import RestateSettings

_CONNECTIONS: Final = 8
_ACCEPTED: Final = frozenset({200, 202})
_REFUSED: Final = frozenset({400, 413})
_MISSING: Final = 404
_KEY_BYTES: Final = 8


class SendResult(Enum):
    """What became of a message to a monitoring service."""

    ACCEPTED = "accepted"
    WAITING = "waiting"
    """Restate has kept the earlier one instead, which the service has not answered."""
    MISSING = "missing"
    """Restate has no such service."""
    REFUSED = "refused"
    """Restate never accepts this one."""
    FAILED = "failed"
    """Retry later."""


_PRECEDENCE: Final = (
    SendResult.FAILED,
    SendResult.WAITING,
    SendResult.ACCEPTED,
    SendResult.REFUSED,
    SendResult.MISSING,
)
"""Of the results of one message to several services: all are sent it again if one may take it later."""

Answered = Callable[[SendResult, str], None]
"""Called once, later, with the result and a sentence that explains it."""


class MonitorClient(Protocol):
    """`TaskMonitor` and `ConsumedMarks`."""

    async def start(self) -> None:
        """Get ready."""
        ...

    async def stop(self) -> None:
        """Close connections; stopping twice is fine."""
        ...

    def send_update(self, update: ProgressUpdate, answered: Answered) -> None:
        """Send an update to the monitor of its task."""
        ...

    def report(self, topic: str, marks: Marks, answered: Answered) -> None:
        """Report up to when a topic has been consumed; nothing is added while the earlier report waits."""
        ...


class IngressMonitorClient:
    """Both over HTTP ingress.

    Args:
        names: of the environment's services; during an upgrade also the old ones, which are told the same.
    """

    def __init__(self, settings: RestateSettings, names: Sequence[ServiceNames] = (PLAIN_NAMES,)) -> None:
        self._names = tuple(names)
        self._http = RestateHttp(settings, connections=_CONNECTIONS)
        self._report_key = f"kallback-marks-{secrets.token_hex(_KEY_BYTES)}"

    async def start(self) -> None:
        """Start the connection pool."""
        await self._http.start()

    async def stop(self) -> None:
        """Close the connections."""
        await self._http.stop()

    def send_update(self, update: ProgressUpdate, answered: Answered) -> None:
        """`POST /TaskMonitor/{task id}/progress/send`."""
        report = update.report
        heard = Heard(update.token, report.signal, report.at_ms, update.seen_ms, partitions=report.partitions)
        if report.details:
            heard = msgspec.structs.replace(heard, details=msgspec.Raw(report.details))
        paths = [f"/{each.monitor}/{update.task_id}/progress/send" for each in self._names]
        self._post(paths, msgspec.json.encode(heard), answered)

    def report(self, topic: str, marks: Marks, answered: Answered) -> None:
        """`POST /ConsumedMarks/{topic}/report/send`."""
        paths = [f"/{each.marks}/{topic}/report/send" for each in self._names]
        self._post(paths, msgspec.json.encode(marks), answered, self._report_key)

    def _post(self, paths: Sequence[str], body: bytes, answered: Answered, key: str = "") -> None:
        results = list[tuple[SendResult, str]]()

        def add(result: HttpResult, *, is_own: bool) -> None:
            results.append(_read(result, has_key=bool(key) and is_own))
            if len(results) == len(paths):
                answered(*min(results, key=lambda each: _PRECEDENCE.index(each[0])))

        for at, path in enumerate(paths):  # an old service that is gone delays nothing
            on_result = partial(add, is_own=at == 0)
            self._http.post_value(path, body, content_type=JSON, on_result=on_result, idempotency_key=key)


class _Accepted(msgspec.Struct):
    status: str = ""


_ACCEPTED_ANSWER: Final = msgspec.json.Decoder(_Accepted)
_EARLIER: Final = "PreviouslyAccepted"


def _read(result: HttpResult, *, has_key: bool) -> tuple[SendResult, str]:
    if not isinstance(result, HttpAnswer):
        return SendResult.FAILED, str(result)
    if result.status in _ACCEPTED:
        waits = has_key and _is_earlier(result.body)
        return (SendResult.WAITING, "the earlier one has no answer") if waits else (SendResult.ACCEPTED, "")
    detail = f"Restate answers {result.status}: {excerpt_of(result.body)}"
    if result.status == _MISSING:
        return SendResult.MISSING, detail
    return (SendResult.REFUSED if result.status in _REFUSED else SendResult.FAILED), detail


def _is_earlier(body: bytes) -> bool:
    """Whether Restate names an earlier invocation with the same key (1.7: `{"invocationId":..., "status":...}`)."""
    try:
        return read_json(_ACCEPTED_ANSWER, body).status == _EARLIER
    except (msgspec.DecodeError, UnicodeDecodeError):
        return False
