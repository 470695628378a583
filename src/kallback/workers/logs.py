"""Loggers whose lines cannot fail: a filter or handler of the user that raises must not end the task that is logged.

Keyword arguments that `logging` does not know become fields of the line, as in structlog. The standard library would
raise `TypeError` for them.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any, Final

from kallback.settings.logs import LogLine, report_lost_line

_OF_LOGGING: Final = frozenset({"exc_info", "extra", "stack_info", "stacklevel"})


class GuardedLogger(logging.LoggerAdapter[logging.Logger]):
    """A logger that writes to stderr what its handlers raise, as the handlers of `logging` do themselves."""

    def log(self, level: int, msg: object, *args: object, **kwargs: Any) -> None:
        """Write a line; never raises an `Exception`."""
        if not self.isEnabledFor(level):
            return
        fields = {name: kwargs.pop(name) for name in kwargs.keys() - _OF_LOGGING}
        try:
            kwargs["stacklevel"] = kwargs.get("stacklevel", 1) + 1  # the caller's place in the code, not this one
            if fields:
                msg, args = LogLine(str(msg) % args if args else str(msg), fields), ()
            super().log(level, msg, *args, **kwargs)
        except Exception:  # noqa: BLE001 - filters and handlers are the user's code
            report_lost_line()


def guarded_logger(name: str, extra: Mapping[str, object] | None = None) -> GuardedLogger:
    """The logger of a module."""
    return GuardedLogger(logging.getLogger(name), extra)
