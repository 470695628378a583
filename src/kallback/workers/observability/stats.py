"""What a worker has done since its start, in numbers."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class WorkerCounts:
    """Counts since the start of one worker; every fetched record is in exactly one of them.

    Attributes:
        completed: results published and acknowledged.
        failed: failed results published and acknowledged.
        cancelled: cancelled while they ran; no result.
        expired: past their deadline while they ran; no result.
        skipped_cancelled: cancelled before they ran; no result.
        skipped_expired: past their deadline, or past the time to start by, before they ran; no result.
        attached: copies of running attempts, settled with them.
        dropped: copies of finished attempts.
        dead_lettered: dead-lettered, undecodable tasks (which also get a failed result) included.
        abandoned: unfinished at the end of a drain, or held back when their partition went: left for another worker.
    """

    completed: int = 0
    failed: int = 0
    cancelled: int = 0
    expired: int = 0
    skipped_cancelled: int = 0
    skipped_expired: int = 0
    attached: int = 0
    dropped: int = 0
    dead_lettered: int = 0
    abandoned: int = 0
