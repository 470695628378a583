"""The handler against a scripted worker: without servers, in milliseconds, however long its timeouts are."""

from __future__ import annotations

from datetime import timedelta

import pytest
from starter import service
from starter.tasks import Converted, convert

from kallback.sdk import TaskTimedOut
from kallback.testing import HandlerTest
from kallback.workers import TaskFailure


async def test_a_converted_document_is_published() -> None:
    """Ten minutes pass in no time."""
    async with HandlerTest() as test:
        test.worker.on(convert).completes(Converted("page.html"), after=timedelta(minutes=10))
        assert await test.run(service.publish, "page.md") == "published at page.html"
        assert test.elapsed == timedelta(minutes=10)


async def test_a_failure_that_the_handler_knows_is_an_answer() -> None:
    """A retry would not help, and the policy's attempts are used up."""
    async with HandlerTest() as test:
        test.worker.on(convert).fails(TaskFailure("UnknownFormat", "page.txt is no Markdown", status=422))
        assert await test.run(service.publish, "page.txt") == "not published: page.txt is no Markdown"


async def test_a_worker_that_never_answers_ends_the_call_in_time() -> None:
    """And is told to stop."""
    async with HandlerTest() as test:
        test.worker.on(convert).never_answers()
        with pytest.raises(TaskTimedOut):
            await test.run(service.publish, "page.md")
        assert [str(cancel.reason) for cancel in test.cancels] == ["timed-out"]
