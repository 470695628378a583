"""Calls the Restate services that monitor tasks, over two paths of HTTP ingress.

`/send` is accepted (202) when it is durable; the bridge does not wait for what the service does. A Restate without
these services is a deployment that does not use them: nothing is lost then.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import Enum
from typing import Final, Protocol

import msgspec

from kallback.bridge.completers.ingress import JSON
from kallback.bridge.completers.replies import excerpt_of
from kallback.bridge.progress.decide import ProgressUpdate
from kallback.bridge.restate.client import RestateHttp
from kallback.bridge.restate.requests import HttpAnswer, HttpResult
from kallback.protocol import PLAIN_NAMES, Heard, Marks, ServiceNames
from kallback.settings import RestateSettings

_CONNECTIONS: Final = 8
_ACCEPTED: Final = frozenset({200, 202})
_REFUSED: Final = frozenset({400, 413})
_MISSING: Final = 404


class SendResult(Enum):
    """What became of a message to a monitoring service."""

    ACCEPTED = "accepted"
    MISSING = "missing"
    """Restate has no such service."""
    REFUSED = "refused"
    """Restate never accepts this one."""
    FAILED = "failed"
    """Retry later."""


_PRECEDENCE: Final = (SendResult.FAILED, SendResult.ACCEPTED, SendResult.REFUSED, SendResult.MISSING)
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
        """Report up to when a topic has been consumed."""
        ...


class IngressMonitorClient:
    """Both over HTTP ingress.

    Args:
        names: of the environment's services; during an upgrade also the old ones, which are told the same.
    """

    def __init__(self, settings: RestateSettings, names: Sequence[ServiceNames] = (PLAIN_NAMES,)) -> None:
        self._names = tuple(names)
        self._http = RestateHttp(settings, connections=_CONNECTIONS)

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
        self._post([f"/{each.marks}/{topic}/report/send" for each in self._names], msgspec.json.encode(marks), answered)

    def _post(self, paths: Sequence[str], body: bytes, answered: Answered) -> None:
        results = list[tuple[SendResult, str]]()

        def add(result: HttpResult) -> None:
            results.append(_read(result))
            if len(results) == len(paths):
                answered(*min(results, key=lambda each: _PRECEDENCE.index(each[0])))

        for path in paths:
            self._http.post_value(path, body, content_type=JSON, on_result=add)


def _read(result: HttpResult) -> tuple[SendResult, str]:
    if not isinstance(result, HttpAnswer):
        return SendResult.FAILED, str(result)
    if result.status in _ACCEPTED:
        return SendResult.ACCEPTED, ""
    detail = f"Restate answers {result.status}: {excerpt_of(result.body)}"
    if result.status == _MISSING:
        return SendResult.MISSING, detail
    return (SendResult.REFUSED if result.status in _REFUSED else SendResult.FAILED), detail
