"""The Restate service of a run: asks for one task and says how it ended.

What the handler saw is also appended to a file, outside the journal. Then it sleeps for longer than Restate keeps an
idle handler (`IDLE`), so it is replayed and looks again: two lines of one task that differ would show a handler that
saw two results. Each start of a handler and how it ended is noted as well: a handler that is started again without
having been suspended was lost with a process or a connection.
"""

from __future__ import annotations

import logging
import os
import secrets
import time
from collections.abc import Generator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Final

import msgspec
import restate

from chaos.work import (
    CANCEL_AFTER,
    IDLE,
    OBSERVATIONS,
    STARTS,
    TEAM,
    End,
    How,
    Job,
    Kind,
    Report,
    end_with,
    service_of,
    task_type_of,
)
from kallback.protocol import UNUSABLE_RESULT
from kallback.sdk import Callbacks, TaskCancelled, TaskFailed, TaskNotSent, TaskTimedOut

_DIRECTORY: Final = Path(os.environ.get("CHAOS_DIRECTORY", "."))

logging.basicConfig(level=logging.INFO)
callbacks = Callbacks.from_env()
service = restate.Service(service_of(TEAM))


@service.handler()
async def run_task(ctx: restate.Context, job: Job) -> Report:
    """Have the task done."""
    with _noted_start(ctx.request().id):
        report = await _ask(ctx, job)
        with (_DIRECTORY / OBSERVATIONS).open("ab") as file:
            file.write(msgspec.json.encode(report) + b"\n")
        await ctx.sleep(timedelta(seconds=IDLE + 0.5))
        return report


@contextmanager
def _noted_start(invocation: str) -> Generator[None]:
    """Note when this attempt of a handler begins, and when and with which signal or error it ends."""
    attempt = secrets.token_hex(4)
    _note(f"begin {attempt} {invocation}")
    end = "returned"
    try:
        yield
    except BaseException as error:
        end = type(error).__name__
        raise
    finally:
        _note(f"end {attempt} {end}")


def _note(line: str) -> None:
    with (_DIRECTORY / STARTS).open("a") as file:
        file.write(f"{time.time():.3f} {line}\n")


async def _ask(ctx: restate.Context, job: Job) -> Report:
    task_id = None
    try:
        handle = await callbacks.start(ctx, task_type_of(job.kind), job, timeout=timedelta(seconds=job.timeout))
        task_id = handle.task_id
        if job.kind in {Kind.CANCELLED, Kind.PROCESS_CANCELLED}:
            await ctx.sleep(timedelta(seconds=CANCEL_AFTER))
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
