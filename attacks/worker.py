"""The worker of a run, with the defaults of the kit: `kallback worker attacks.worker:worker`."""

from __future__ import annotations

import asyncio
import os
from typing import Final

from attacks.work import GROUP_VARIABLE, LONG, WORK_VARIABLE, good
from kallback.workers import Worker

_WORK_S: Final = float(os.environ.get(WORK_VARIABLE, "0.02"))
_LONG_S: Final = 15.0

worker = Worker(os.environ.get(GROUP_VARIABLE, "attacks"))


@worker.task(good)
async def count(number: int) -> int:
    """Count one further."""
    await asyncio.sleep(_LONG_S if number == LONG else _WORK_S)
    return number + 1
