"""Log lines as a test wants them: sentence, fields and level in one mapping."""

from __future__ import annotations

import logging
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

from kallback.settings import LogLine


class _Collector(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.lines: list[dict[str, Any]] = []

    def emit(self, record: logging.LogRecord) -> None:
        line = record.msg if isinstance(record.msg, LogLine) else LogLine(record.getMessage(), {})
        self.lines.append({"event": line.event, "log_level": record.levelname.lower(), **line.fields})


@contextmanager
def capture_logs(name: str = "kallback") -> Generator[list[dict[str, Any]]]:
    """Collect what is logged below `name`, from INFO up.

        with capture_logs() as lines:
            ...
        assert lines[0]["event"] == "bridge started"

    The level is what it was before, after the block.
    """
    logger, collector = logging.getLogger(name), _Collector()
    level = logger.level
    logger.addHandler(collector)
    logger.setLevel(logging.INFO)
    try:
        yield collector.lines
    finally:
        logger.setLevel(level)
        logger.removeHandler(collector)
