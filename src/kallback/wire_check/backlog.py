"""Waits until the worker has done what was in its topic before the check: answers to that are none to the check."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable
from typing import Final

from kallback.settings import named_log
from kallback.wire_check import answer_reader
from kallback.wire_check.connections import CheckConnections
from kallback.wire_check.options import WireCheckOptions
from kallback.wire_check.worker_groups import backlog_of

log: Final = named_log("kallback.wire_check")


async def await_backlog(
    options: WireCheckOptions, connections: CheckConnections, on_step: Callable[[str], None]
) -> int:
    """Wait as long as the worker gets on with it; returns the records that are left. 0: none, or unknown.

    Args:
        options: the timeout, and the grace after a start.
        connections: the worker's groups, and its process.
        on_step: is told in words how many records are left.
    """
    process = connections.process
    if not connections.earlier:
        return 0
    fewest, known = math.inf, 0
    end = time.monotonic() + options.timeout + (options.restart_grace if process else 0)
    while time.monotonic() < end and not (process and process.ended):
        groups = await connections.groups()
        left = backlog_of(groups)
        if left == 0:
            return 0
        if groups is None or (left is None and process is None):
            return known  # nothing is known, or there is no worker, which the first check says
        if left is not None and left < fewest:
            if not known:
                log.warning("the worker first does what was in its topic before the check", records=left)
            on_step(f"waiting: the worker has {left} records of before the check to do")
            fewest, known, end = left, left, time.monotonic() + options.timeout
        await asyncio.sleep(answer_reader.LOOK_S)
    return known
