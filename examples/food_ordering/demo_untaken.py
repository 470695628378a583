"""The last scene: a task that no worker takes, found by the doctor, seen in the console, and failed by hand."""

from __future__ import annotations

import asyncio
import shlex
from typing import Any

import httpx
import msgspec
from demo_board import Board, Check
from demo_processes import DemoProcesses
from demo_watch import Watch

from kallback.testing import RestateError

CAKE = "birthday"
OPERATOR = "Ann, shift lead"
WHY = "the bakers have gone home"


class UntakenTaskScene:
    """Orders a cake when no baker is there."""

    def __init__(self, processes: DemoProcesses, board: Board, watch: Watch) -> None:
        self._processes = processes
        self._board = board
        self._watch = watch

    async def run(self) -> list[Check]:
        """Run it; return what there is to check."""
        processes, board = self._processes, self._board
        self._watch.killed.update(processes.bakers)
        await asyncio.gather(*(asyncio.to_thread(baker.stop) for baker in processes.bakers))
        invocation = await processes.ingress.send(f"CakeOrder/{CAKE}/create", {"id": CAKE, "layers": 2})
        board.say("the bakers are stopped, and a birthday cake is ordered")
        await self._watch.until("the cake's task", self._is_created)
        task_id = str(await self._task())
        await self._watch.until("the console", lambda: self._is_shown(task_id))
        board.say(f"the console shows the task: {processes.console_url}/tasks/{task_id}", "green")
        await self._operate("doctor", task_id, may_fail=True)
        arguments = ("tasks", "fail", task_id, "--not-retryable", "--by", OPERATOR, "--why", WHY)
        await self._operate(*arguments)
        failure = await self._failure(invocation)
        board.say(f"the workflow has its answer: {failure}", "red")
        await self._watch.until("the outcome", lambda: self._has_outcome(task_id))
        found = await self._outcome(task_id) or {}
        board.say(f"the outcome record: {found.get('outcome')}, by {found.get('by')}: {found.get('why')}")
        return [self._check(found, failure)]

    async def _task(self) -> str | None:
        task_id: str | None = await self._processes.ingress.call(f"CakeOrder/{CAKE}/task")
        return task_id

    async def _is_created(self) -> bool:
        return await self._task() is not None

    async def _has_outcome(self, task_id: str) -> bool:
        return await self._outcome(task_id) is not None

    async def _is_shown(self, task_id: str) -> bool:
        try:
            async with httpx.AsyncClient(trust_env=False) as http:
                return (await http.get(f"{self._processes.console_url}/tasks/{task_id}")).is_success
        except httpx.TransportError:
            return False  # it is starting

    async def _failure(self, invocation: str) -> str:
        try:
            await self._processes.ingress.attach(invocation)
        except RestateError as error:
            return str(msgspec.json.decode(error.body)["message"])
        return ""

    async def _outcome(self, task_id: str) -> dict[str, Any] | None:
        found = [each for each in await self._processes.outcomes() if each.get("task") == task_id]
        return found[0] if found else None

    async def _operate(self, *arguments: str, may_fail: bool = False) -> None:
        lines = await self._processes.kallback(*arguments, may_fail=may_fail)
        self._board.command(f"kallback {shlex.join(arguments)}", lines)

    @staticmethod
    def _check(outcome: dict[str, Any], failure: str) -> Check:
        said = (outcome.get("outcome"), outcome.get("by"), outcome.get("why"))
        wrong = [] if said == ("delivered", OPERATOR, WHY) else [f"its outcome says {said}"]
        if WHY not in failure:
            wrong.append(f"the workflow was told {failure!r}")
        return Check(
            "a task that no worker took was failed by hand, and its outcome says by whom and why", tuple(wrong)
        )
