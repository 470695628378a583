"""Why a running task function is stopped."""

from __future__ import annotations

from enum import StrEnum


class StopReason(StrEnum):
    """Why a task function is to stop, as `TaskContext.stop_reason` says; what it then returns is not published.

    After `WORKER_STOPPING` the work is still wanted: it goes on elsewhere. After the others this attempt is not.
    """

    CANCELLED = "cancelled"
    """The task was cancelled: by its handler, with its handler, or by hand."""
    TIMED_OUT = "timed-out"
    """The caller waits no longer: the deadline has passed, or the last attempt took too long or was taken for lost."""
    SUPERSEDED = "superseded"
    """A newer attempt takes the place of this one, and may run already."""
    WORKER_STOPPING = "worker-stopping"
    """This worker stops, and its drain has ended: the task is handed back, or is left for another worker."""
