"""Fails or cancels all pending tasks that a filter chooses, as `kallback tasks fail | cancel --all` does.

What an operator confirms is the list that a page counted: it is kept until it is used, once. So none that came later is
among them, and a form that is sent twice does nothing the second time.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Final, Protocol

from kallback.cli.console.changes import ChangeAction, ManyChange, UnusableFormError
from kallback.cli.console.kept import ConfirmedOnce, KeptItems, new_name
from kallback.cli.tasks.actions import CANCEL, TaskAction, fail_with
from kallback.cli.tasks.bulk import DEFAULT_LIMIT, ChosenTasks, ReadsTasks, TaskResult, TaskSender, choose_tasks
from kallback.kafka import FindRecords, Producer
from kallback.operations import ByHand, TaskFilter
from kallback.protocol import KallbackError
from kallback.settings import Settings, named_log

_MOST_KEPT: Final = 2 * DEFAULT_LIMIT
"""Tasks of all lists that are kept together: some tens of megabytes."""
_MOST_PLANS: Final = 20
_SHOWN: Final = 20
"""Of those to which nothing was sent, with the reasons."""
_log: Final = named_log("kallback.console")


@dataclass(frozen=True, slots=True)
class TaskPlan:
    """The tasks that an operator saw.

    Attributes:
        name: nobody can guess it.
        wanted: what chose them.
    """

    name: str
    wanted: TaskFilter
    chosen: ChosenTasks

    @property
    def is_unfiltered(self) -> bool:
        """All pending tasks are chosen."""
        return self.wanted == TaskFilter()


@dataclass(frozen=True, slots=True)
class ManyDone:
    """What became of many tasks.

    Attributes:
        sentence: how many it was done to.
        refused: how many it could not be done to.
        refusals: the first of these, with the reasons.
        error: what ended it before the last one; None if nothing did.
    """

    sentence: str
    refused: int = 0
    refusals: Sequence[TaskResult] = ()
    error: str | None = None


class ChangesMany(Protocol):
    """What changes many tasks; a test has another one."""

    async def choose(self, wanted: TaskFilter) -> TaskPlan:
        """Return the tasks that are wanted; raises as `PendingTasks.each`."""
        ...

    async def make(self, change: ManyChange) -> ManyDone:
        """Do it to all tasks of a plan that are still pending.

        Raises:
            NotAnswerableError: there is no such plan any more, or another one is being done.
            UnusableFormError: no filter chose them, and the operator did not say that all are meant.
        """
        ...


class ManyChanges:
    """`ChangesMany` of one environment.

    Args:
        pending: reads tasks.
        find: looks their records up.
        producer: started by its owner.
    """

    def __init__(self, pending: ReadsTasks, find: FindRecords, producer: Producer, settings: Settings) -> None:
        self._pending: Final = pending
        self._find: Final = find
        self._producer: Final = producer
        self._settings: Final = settings
        kept = KeptItems[TaskPlan](_MOST_PLANS, _MOST_KEPT, lambda plan: len(plan.chosen.tasks))
        self._plans: Final = ConfirmedOnce(kept, "change of many tasks", "open the list of tasks again")

    async def choose(self, wanted: TaskFilter) -> TaskPlan:
        """Return the tasks that are wanted, and keep them for `make`."""
        plan = TaskPlan(new_name(), wanted, await choose_tasks(self._pending, wanted, DEFAULT_LIMIT))
        self._plans.keep(plan.name, plan)
        return plan

    async def make(self, change: ManyChange) -> ManyDone:
        """Do it to all tasks of a plan that are still pending."""
        if self._plans.require(change.plan).is_unfiltered and not change.everything:
            raise UnusableFormError('no filter is set, so all pending tasks are meant: tick "All of them"')
        async with self._plans.using(change.plan) as plan:
            return await self._send(plan, change)

    async def _send(self, plan: TaskPlan, change: ManyChange) -> ManyDone:
        tasks, by_hand = plan.chosen.tasks, ByHand(self._producer, self._settings, change.operator)
        sender = TaskSender(self._find, self._settings, _action(change), plan.wanted)
        refusals, failure = list[TaskResult](), None
        try:
            async with aclosing(sender.results(self._pending, by_hand, tasks)) as results:
                async for result in results:
                    if result.error is not None and len(refusals) < _SHOWN:
                        refusals.append(result)
        except KallbackError as error:  # what was sent before stays sent
            failure = str(error)
        finally:
            said = sender.total(len(tasks))
            _log.info("changed many by hand", by=change.operator.by, why=change.operator.why, result=said)
        return ManyDone(said, sender.refused, refusals, failure)


def _action(change: ManyChange) -> TaskAction:
    return fail_with(change.problem) if change.action is ChangeAction.FAIL else CANCEL
