"""A slot always answers, whatever comes from its child, and gives the next call a child that lives."""

from __future__ import annotations

import asyncio
import pickle
from collections.abc import AsyncIterator
from typing import Any

import pytest

from kallback.workers.execution import process_slot
from kallback.workers.execution.messages import Job, ReturnedValue
from kallback.workers.execution.outcomes import CallOutcome, Raised
from kallback.workers.execution.process_slot import ProcessCall, ProcessSlot


class Child:
    """A child that answers, or does what else it is told; it never ends by itself."""

    exit_code = 0

    def __init__(self) -> None:
        self.raises: BaseException | None = None
        self.jobs = 0

    def send(self, _job: Job) -> None:
        """Take a job."""
        self.jobs += 1

    def receive(self) -> ReturnedValue:
        """Answer it."""
        if self.raises is not None:
            raise self.raises
        return ReturnedValue(pickle.dumps("done"))

    def is_idle(self) -> bool:
        """Whether it takes a job."""
        return True

    def terminate(self) -> None:
        """It will end."""

    def close(self) -> None:
        """It has ended."""


class Children(list[Child]):
    """All that were started."""

    def start(self) -> Child:
        """One more."""
        self.append(Child())
        return self[-1]


@pytest.fixture(name="children")
def simulated(monkeypatch: pytest.MonkeyPatch) -> Children:
    """None yet."""
    children = Children()
    monkeypatch.setattr(process_slot, "ChildConnection", children)
    return children


@pytest.fixture(name="slot")
async def one_slot(children: Children) -> AsyncIterator[ProcessSlot]:
    """One that is ended afterwards."""
    del children
    slot = ProcessSlot(lambda _slot: None)
    yield slot
    slot.close()
    await slot.ended.wait()


async def call(slot: ProcessSlot) -> CallOutcome:
    """One call."""
    unused: Any = None
    made = ProcessCall(Job(1, b"", unused), lambda _details: None, asyncio.get_running_loop().create_future())
    slot.submit(made)
    async with asyncio.timeout(60):
        return await made.future


@pytest.mark.parametrize("error", [ValueError("odd"), SystemExit(3), KeyboardInterrupt(), MemoryError()])
async def test_whatever_is_raised_on_its_thread_is_the_failure_of_the_call(
    slot: ProcessSlot, children: Children, error: BaseException
) -> None:
    """The thread goes on, and the next call gets another child."""
    await call(slot)
    children[0].raises = error
    outcome = await call(slot)
    assert isinstance(outcome, Raised)
    assert outcome.error is error
    assert not isinstance(await call(slot), Raised)
    assert [child.jobs for child in children] == [2, 1]


async def test_a_child_that_was_told_to_end_gets_no_other_job(slot: ProcessSlot, children: Children) -> None:
    """It answered before it ended: the next job would end with it."""
    await call(slot)
    slot.terminate()
    await call(slot)
    assert [child.jobs for child in children] == [1, 1]
