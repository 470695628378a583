"""Log lines: for people on a terminal, JSON everywhere else.

The rooms log through the standard library; here, and only here, is decided how it looks.
"""

from __future__ import annotations

import logging
import sys
from typing import Final

import structlog

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
    to_terminal = sys.stderr.isatty()
    ending: list[structlog.typing.Processor] = (
        [structlog.dev.ConsoleRenderer()]
        if to_terminal
        else [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *ending],
        )
    )
    logging.basicConfig(handlers=[handler], level=logging.DEBUG if verbose else logging.INFO, force=True)
    for name in _NOISY:
        logging.getLogger(name).setLevel(logging.INFO if verbose else logging.WARNING)


def _unfold(_logger: object, _method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """The fields of a `LogLine` become fields of the line."""
    line = event["_record"].msg
    if isinstance(line, LogLine):
        event.update(line.fields, event=line.event)
    return event
