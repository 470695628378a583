"""Log lines with fields, through the standard library: the process that we run in decides what becomes of them.

    log = named_log("kallback.kafka")
    log.warning("commit failed, the next one covers it", detail=str(error))

With plain `logging` such a line reads `commit failed, the next one covers it detail='...'`; a set-up that knows
`LogLine`, as the `kallback` command's, gets sentence and fields apart.

Lines cannot fail: filters and handlers are the user's code, and what they raise must not end the part that logs, nor
hide the failure that the line is about.
"""

from __future__ import annotations

import contextlib
import inspect
import logging
import sys
import traceback
from types import FrameType
from typing import Any, Final

_LOST: Final = "--- a log line was lost: a filter, a handler or the values of the line raised ---"
_GUARDS: Final = frozenset({"logging", "kallback.settings.logs", "kallback.workers.logs"})


class LogLine:
    """A sentence and its fields; as text, both."""

    __slots__ = ("event", "fields")

    def __init__(self, event: str, fields: dict[str, Any]) -> None:
        self.event: Final = event
        self.fields: Final = fields

    def __str__(self) -> str:
        return " ".join([self.event, *(f"{name}={value!r}" for name, value in self.fields.items())])


class NamedLog:
    """One logger of the standard library, called with a sentence and fields.

    The field `exc_info`, an exception, becomes the traceback of the line, as that of `logging` does.
    """

    __slots__ = ("_logger",)

    def __init__(self, logger: logging.Logger | logging.LoggerAdapter[logging.Logger]) -> None:
        self._logger: Final = logger

    def debug(self, event: str, **fields: Any) -> None:
        """For people who look for a fault."""
        self._write(logging.DEBUG, event, fields)

    def info(self, event: str, **fields: Any) -> None:
        """Rare and expected."""
        self._write(logging.INFO, event, fields)

    def warning(self, event: str, **fields: Any) -> None:
        """The operator may have to act."""
        self._write(logging.WARNING, event, fields)

    def error(self, event: str, **fields: Any) -> None:
        """The operator has to act."""
        self._write(logging.ERROR, event, fields)

    def _write(self, level: int, event: str, fields: dict[str, Any]) -> None:
        if not self._logger.isEnabledFor(level):
            return
        failure = fields.pop("exc_info", None)
        try:
            self._logger.log(level, LogLine(event, fields), exc_info=failure, stacklevel=3)
        except Exception:  # noqa: BLE001 - filters and handlers are the user's code
            report_lost_line()


def named_log(name: str) -> NamedLog:
    """The log of one package."""
    return NamedLog(logging.getLogger(name))


def report_lost_line() -> None:
    """Write to stderr what the writing of a line raised and which code logs it, as the handlers of `logging` do."""
    if logging.raiseExceptions:
        with contextlib.suppress(Exception):
            print(_LOST, file=sys.stderr)  # noqa: T201 - as logging
            traceback.print_exc(limit=5)
            print("logged by:", file=sys.stderr)  # noqa: T201 - as logging
            traceback.print_stack(_caller(), limit=3)


def _caller() -> FrameType | None:
    """The innermost frame that is neither of `logging` nor of a module that guards it."""
    frame: FrameType | None = inspect.currentframe()
    while frame is not None and frame.f_globals.get("__name__") in _GUARDS:
        frame = frame.f_back
    return frame
