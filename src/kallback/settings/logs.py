"""Log lines with fields, through the standard library: the process that we run in decides what becomes of them.

    log = named_log("kallback.kafka")
    log.warning("commit failed, the next one covers it", detail=str(error))

With plain `logging` such a line reads `commit failed, the next one covers it detail='...'`; a set-up that knows
`LogLine`, as the `kallback` command's, gets sentence and fields apart.
"""

from __future__ import annotations

import logging
from typing import Any, Final


class LogLine:
    """A sentence and its fields; as text, both."""

    __slots__ = ("event", "fields")

    def __init__(self, event: str, fields: dict[str, Any]) -> None:
        self.event: Final = event
        self.fields: Final = fields

    def __str__(self) -> str:
        return " ".join([self.event, *(f"{name}={value!r}" for name, value in self.fields.items())])


class NamedLog:
    """One logger of the standard library, called with a sentence and fields."""

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
        if self._logger.isEnabledFor(level):
            self._logger.log(level, LogLine(event, fields), stacklevel=3)


def named_log(name: str) -> NamedLog:
    """The log of one package."""
    return NamedLog(logging.getLogger(name))
