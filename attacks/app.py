"""The Restate service of a run: each invocation is one good call."""

from __future__ import annotations

import logging
from datetime import timedelta

import restate

from attacks.work import good, patient
from kallback.sdk import Callbacks

logging.basicConfig(level=logging.WARNING)
callbacks = Callbacks.from_env()
service = restate.Service("Attacked", journal_retention=timedelta(0))


@service.handler()
async def call(ctx: restate.Context, number: int) -> int:
    """Have a worker count one further."""
    return await callbacks.call(ctx, good, number)


@service.handler()
async def wait(ctx: restate.Context, number: int) -> int:
    """Wait for a task that is handed back again and again."""
    return await callbacks.call(ctx, patient, number)


app = restate.app([service, *callbacks.services])
