"""The Restate service: it asks for a conversion, and waits for it as long as it takes."""

from __future__ import annotations

import restate

from kallback.sdk import Callbacks, TaskFailed
from starter.tasks import Document, convert

callbacks = Callbacks.from_env()
documents = restate.Service("Documents")


@documents.handler()
async def publish(ctx: restate.Context, url: str) -> str:
    """Convert a document; says where the result is, or why there is none."""
    try:
        converted = await callbacks.call(ctx, convert, Document(url))
    except TaskFailed as error:
        if error.type != "UnknownFormat":  # the worker's own; every other failure is this handler's, too
            raise
        return f"not published: {error.problem.detail}"
    return f"published at {converted.url}"


app = callbacks.app([documents])
