"""Where in its life a process is, as probes say it."""

from __future__ import annotations

from enum import StrEnum


class Phase(StrEnum):
    """Where in its life a bridge or a worker is."""

    STARTING = "starting"
    RUNNING = "running"
    DRAINING = "draining"
    STOPPED = "stopped"
