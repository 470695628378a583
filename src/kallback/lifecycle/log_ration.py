"""Rations the log lines of libraries: a client that loses its broker writes thousands of equal lines in a minute.

Of lines with the same logger, level and text (before arguments are filled in) the first is written; those of the next
interval are counted, and at its end one line says how many there were. Lines of other loggers pass.

Ownership: a filter belongs to the handler or the loggers that it is added to. Any thread may log; a daemon thread of
`threading.Timer` writes the counts, one at a time.
"""

from __future__ import annotations

import logging
import re
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

LIBRARIES: Final = ("aiokafka", "hypercorn", "kafka", "opentelemetry", "restate", "urllib3")
"""Loggers of the libraries that kallback uses, with all loggers below them."""

_INTERVAL_S: Final = 60.0
_MAX_KINDS: Final = 200
_MAX_TEXT: Final = 200
_SUMMARY: Final = "kallback_summary"  # an attribute of the records that the filter writes itself
_NUMBERS: Final = re.compile(r"\d+")


class _Kind(NamedTuple):
    logger: str
    level: int
    text: str


@dataclass(slots=True)
class _LeftOut:
    """How many lines of a kind were left out, and the first of them as it would have been written."""

    example: str
    count: int = 1


class LogRation(logging.Filter):
    """Lets the first line of a kind pass in each interval, and counts the others.

    Args:
        libraries: whose lines are rationed.
        interval: seconds.
        monotonic: seconds that only grow.
        call_later: calls a function after some seconds.
    """

    def __init__(
        self,
        libraries: Sequence[str] = LIBRARIES,
        *,
        interval: float = _INTERVAL_S,
        monotonic: Callable[[], float] = time.monotonic,
        call_later: Callable[[float, Callable[[], None]], object] | None = None,
    ) -> None:
        super().__init__()
        self._libraries: Final = tuple(libraries)
        self._interval: Final = interval
        self._monotonic: Final = monotonic
        self._call_later: Final = call_later or _call_later
        self._lock: Final = threading.Lock()
        self._until: Final[dict[_Kind, float]] = {}
        self._left_out: Final[dict[_Kind, _LeftOut]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether the line is written."""
        if hasattr(record, _SUMMARY) or not self._is_rationed(record.name):
            return True
        kind = _Kind(record.name, record.levelno, _NUMBERS.sub("#", str(record.msg)[:_MAX_TEXT]))
        now = self._monotonic()
        with self._lock:
            if now >= self._until.get(kind, now):
                self._forget_oldest()
                self._until[kind] = now + self._interval
                return True
            until, known = self._until[kind], self._left_out.get(kind)
            if known is None:
                self._left_out[kind] = _LeftOut(_written(record))
            else:
                known.count += 1
        return known is None and not self._is_summary_due_later(kind, until - now)

    def _is_summary_due_later(self, kind: _Kind, delay: float) -> bool:
        """Have the lines counted; False without a thread for it, and the line passes."""
        try:
            self._call_later(delay, lambda: self._summarize(kind))
        except RuntimeError:  # raised here, it would end what the library does
            with self._lock:
                self._left_out.pop(kind, None)
            return False
        return True

    def _is_rationed(self, logger: str) -> bool:
        return any(logger == each or logger.startswith(f"{each}.") for each in self._libraries)

    def _forget_oldest(self) -> None:
        """Bound the memory: some libraries put changing text into what should be constant."""
        if len(self._until) >= _MAX_KINDS:
            self._until.pop(next(iter(self._until)))

    def _summarize(self, kind: _Kind) -> None:
        with self._lock:
            left_out = self._left_out.pop(kind)
            self._until[kind] = self._monotonic() + self._interval
        logging.getLogger(kind.logger).log(
            kind.level,
            "%d %s left out in %.0f s: %s",
            left_out.count,
            "line like this was" if left_out.count == 1 else "lines like this were",
            self._interval,
            left_out.example,
            extra={_SUMMARY: True},
        )


def _written(record: logging.LogRecord) -> str:
    """Return a line with its arguments filled in, as far as they fit."""
    try:
        return record.getMessage()[:_MAX_TEXT]
    except Exception:  # noqa: BLE001 - arguments that do not fit, or that cannot be written
        return str(record.msg)[:_MAX_TEXT]


def ration_loggers(library: str) -> None:
    """Ration all loggers of a library that exist now: for programs whose handlers are not kallback's."""
    ration = LogRation([library])
    for name, logger in tuple(logging.root.manager.loggerDict.items()):
        if isinstance(logger, logging.Logger) and (name == library or name.startswith(f"{library}.")):
            logger.addFilter(ration)


def _call_later(delay: float, function: Callable[[], None]) -> None:
    timer = threading.Timer(delay, function)
    timer.daemon = True
    timer.start()
