"""Log lines: text on a terminal, JSON everywhere else.

The packages log through the standard library. Only this module decides how a line looks.

A traceback never shows the values of local variables: one of them may be a password.
"""

from __future__ import annotations

import logging
import os
import sys
from typing import Final

import structlog

from kallback.cli.formatting import escape
from kallback.lifecycle import LogRation
from kallback.settings import LogLine

_NOISY: Final = ("aiokafka", "asyncio", "kafka", "opentelemetry", "urllib3")


def configure_logs(*, verbose: bool = False) -> None:
    """Send every log line to stderr, as JSON unless stderr is a terminal."""
    shared: list[structlog.typing.Processor] = [
        _unfold,
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *_rendering()],
        )
    )
    handler.addFilter(LogRation())
    logging.basicConfig(handlers=[handler], level=logging.DEBUG if verbose else logging.INFO, force=True)
    for name in _NOISY:
        logging.getLogger(name).setLevel(logging.INFO if verbose else logging.WARNING)


def _rendering() -> list[structlog.typing.Processor]:
    if not sys.stderr.isatty():
        return [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    coloured = not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    plain = structlog.dev.plain_traceback  # structlog's default shows local variables if rich is installed
    return [_escaped, structlog.dev.ConsoleRenderer(colors=coloured, exception_formatter=plain)]


def _unfold(_logger: object, _method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """The fields of a `LogLine` become fields of the line."""
    line = event["_record"].msg
    if isinstance(line, LogLine):
        event.update(line.fields, event=line.event)
    return event


def _escaped(_logger: object, _method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """Text from outside cannot control the terminal."""
    return {name: escape(value, lines=True) if isinstance(value, str) else value for name, value in event.items()}
