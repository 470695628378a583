"""The Restate service of a run: asks for one task and says how it ended.

What the handler saw is also appended to a file, outside the journal. Then it sleeps for longer than Restate keeps an
idle handler (`IDLE`), so it is replayed and looks again: two lines of one task that differ would show a handler that
saw two results.
"""

from __future__ import annotations

import logging
import os
from datetime import timedelta
from pathlib import Path
from typing import Final

import msgspec
import restate

from chaos.work import CHANGES_MIND, IDLE, WITNESSES, End, How, Job, Kind, Report, end_with, task_type_of
from kallback.protocol import UNUSABLE_RESULT
from kallback.sdk import Callbacks, TaskCancelled, TaskFailed, TaskNotSent, TaskTimedOut

_DIRECTORY: Final = Path(os.environ.get("CHAOS_DIRECTORY", "."))

logging.basicConfig(level=logging.INFO)
callbacks = Callbacks.from_env()
service = restate.Service("Chaos")


@service.handler()
async def place(ctx: restate.Context, job: Job) -> Report:
    """Have the task done."""
    report = await _ask(ctx, job)
    with (_DIRECTORY / WITNESSES).open("ab") as file:
        file.write(msgspec.json.encode(report) + b"\n")
    await ctx.sleep(timedelta(seconds=IDLE + 0.5))
    return report


async def _ask(ctx: restate.Context, job: Job) -> Report:
    task_id = None
    try:
        handle = await callbacks.start(ctx, task_type_of(job.kind), job, timeout=timedelta(seconds=job.timeout))
        task_id = handle.task_id
        if job.kind is Kind.CANCELLED:
            await ctx.sleep(timedelta(seconds=CHANGES_MIND))
            await handle.cancel()
        end = end_with(await handle.result())
    except TaskFailed as failure:
        unusable = failure.type == UNUSABLE_RESULT
        end = End(How.FAILED, failure.type if unusable else f"{failure.type} {failure.status_code} {failure.message}")
    except TaskTimedOut:
        end = End(How.TIMED_OUT, "")
    except TaskCancelled:
        end = End(How.CANCELLED, "")
    except TaskNotSent as failure:
        end = End(How.NOT_SENT, failure.message)
        task_id = failure.task_id
    return Report(job.number, end, task_id)


app = restate.app([service, *callbacks.services])
