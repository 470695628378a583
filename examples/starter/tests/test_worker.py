"""The worker's function as the worker calls it: request and result are encoded and decoded as on the wire."""

from __future__ import annotations

import pytest
from starter.tasks import Converted, Document, convert
from starter.worker import worker

from kallback.testing import run_task
from kallback.workers import TaskFailure


async def test_a_document_is_converted_page_by_page() -> None:
    """Each page is reported."""
    run = await run_task(worker, convert, Document("page.md", pages=2))
    assert run.result == Converted("page.html")
    assert run.heartbeats == (1, 2)


async def test_a_later_attempt_goes_on_where_the_last_one_was() -> None:
    """Its details are those of the last heartbeat."""
    run = await run_task(worker, convert, Document("page.md", pages=3), attempt=2, last_details=2)
    assert run.heartbeats == (3,)


async def test_another_format_is_a_failure_of_its_own() -> None:
    """The handler tells it apart by its type."""
    with pytest.raises(TaskFailure, match=r"page\.txt is no Markdown") as failure:
        await run_task(worker, convert, Document("page.txt"))
    assert failure.value.problem.type == "UnknownFormat"
