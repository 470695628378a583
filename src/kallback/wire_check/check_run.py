"""Carries the steps of one check out: sends, kills, waits. Decides nothing.

One task does it all. Where the worker's group is seen, its position says how long to wait; where it is not, seconds do.
"""

from __future__ import annotations

import asyncio
import math
import secrets
import time
from collections.abc import Callable
from typing import Final, assert_never

from kallback.kafka import OutgoingRecord, Position
from kallback.protocol import TaskId, task_id_of
from kallback.protocol.tokens import TASK_ID_BYTES
from kallback.wire_check import answer_reader, steps
from kallback.wire_check.answer_reader import AnswerReader
from kallback.wire_check.connections import CheckConnections
from kallback.wire_check.ledger import CheckLedger
from kallback.wire_check.observed import ALIVE, Observed
from kallback.wire_check.options import WireCheckOptions
from kallback.wire_check.worker_groups import backlog_of, is_committed, position_before, uncommitted_of

_BEGIN_S: Final = 3.0
_COMMIT_LOOK_S: Final = 0.3


class CheckRun:
    """One check that is carried out.

    Args:
        options: of the run.
        connections: what it sends with, and the worker.
        ledger: makes tasks, and knows whose answer a record is.
        reader: what waits; answers that belong to no task are this check's from now on.
        backlog: records of before the check that the worker may still be working off.

    Attributes:
        last: where its last task is.
    """

    def __init__(
        self,
        options: WireCheckOptions,
        connections: CheckConnections,
        ledger: CheckLedger,
        reader: AnswerReader,
        backlog: int,
    ) -> None:
        self._options: Final = options
        self._connections: Final = connections
        self._ledger: Final = ledger
        self._reader: Final = reader
        self._key: Final = secrets.token_hex(4).encode()
        self._ids: Final = dict[str, TaskId]()
        self._records: Final = dict[str, OutgoingRecord]()
        self._positions: Final = dict[str, Position]()
        self._sent_at: Final = dict[str, float]()
        self.last: Position | None = None
        self.observed: Final = Observed(backlog=backlog)
        reader.observed = self.observed

    async def do(self, step: steps.CheckStep) -> None:
        """Carry one step out."""
        match step:
            case steps.SendTask():
                await self._send_task(step)
            case steps.SendTogether(tasks):
                await asyncio.gather(*map(self._send_task, tasks))
            case steps.AwaitAnswers() | steps.AwaitBegin() | steps.AwaitAsLong() | steps.Wait():
                await self._await(step)
            case steps.AwaitCommitted(seconds):
                await self._await_committed(seconds)
            case steps.AwaitEarlyCommit():
                await self._await_early_commit(step)
            case steps.KillWorker() | steps.StopWorker() | steps.StartWorker():
                await self._command(step)
            case _:
                await self._send_other(step)

    async def is_alive(self) -> bool:
        """Whether the worker still answers an ordinary task, which is sent now."""
        await self._send_task(steps.SendTask(name=ALIVE, value=self._options.requests.good[0]))
        return await self._wait_for_answers(lambda: bool(self.observed.seen(ALIVE)), self._options.timeout)

    def _id_of(self, name: str) -> TaskId:
        return self._ids.setdefault(name, task_id_of(secrets.token_bytes(TASK_ID_BYTES)))

    async def _send_task(self, step: steps.SendTask) -> None:
        now_ms = int(time.time() * 1000)
        self._ids[step.name] = task_id = self._id_of(step.task_of or step.name)
        record = self._ledger.make_task(step, task_id, self.observed, now_ms=now_ms, key=self._key)
        self._records[step.name], self.observed.requests[step.name] = record, step.value
        self.observed.sent[step.name] += 1
        self._sent_at[step.name] = time.monotonic()
        self.last = self._positions[step.name] = await self._connections.producer.send(record)

    async def _send_other(self, step: steps.SendCopy | steps.SendNoTask | steps.SendCancel | steps.SendControl) -> None:
        topics = self._options.topics
        match step:
            case steps.SendCopy(name):
                self.observed.sent[name] += 1
                record = self._records[name]
            case steps.SendNoTask(value):
                record = OutgoingRecord(topics.tasks, value, self._key)
            case steps.SendCancel(name, forged):
                await self._reader.take()
                self.observed.answered_before_cancel = self.observed.answered()
                record = self._ledger.cancel_of(self._id_of(name), int(time.time() * 1000), forged=forged)
            case steps.SendControl(value):
                record = OutgoingRecord(topics.control, value, self._key)
            case _:
                assert_never(step)
        await self._connections.producer.send(record)

    async def _await(self, step: steps.AwaitAnswers | steps.AwaitBegin | steps.AwaitAsLong | steps.Wait) -> None:
        match step:
            case steps.AwaitAnswers():
                await self._await_answers(step)
            case steps.AwaitBegin(name):
                await self._reader.wait_for(
                    lambda: bool(self.observed.progress.get(name) or self.observed.seen(name)), _BEGIN_S
                )
            case steps.AwaitAsLong(name, like, more_s):
                took = max((each.at for each in self.observed.seen(like)), default=0.0) - self._sent_at[like]
                left = self._sent_at[name] + took + more_s - time.monotonic()
                await self._reader.wait_for(lambda: bool(self.observed.seen(name)), left)
            case steps.Wait(seconds):
                await self._reader.wait(seconds)

    async def _await_answers(self, step: steps.AwaitAnswers) -> None:
        observed, grace = self.observed, self._options.restart_grace
        wanted = step.names or tuple(observed.tasks())
        enough = any if step.any_one else all
        await self._wait_for_answers(
            # Records without a valid token are all that comes of a worker that does not echo it.
            lambda: (
                enough(bool(observed.seen(name)) for name in wanted)
                or (not observed.backlog and len(observed.strays) >= len(wanted))
            ),
            self._options.timeout + (grace if step.after_restart and self._connections.process else 0),
        )

    async def _wait_for_answers(self, done: Callable[[], bool], seconds: float) -> bool:
        """Wait as long as told; longer while the worker's group gets nearer to the task that it was sent last."""
        before = -math.inf
        while not await self._reader.wait_for(done, seconds):
            groups = None if self._reader.worker_ended else await self._connections.groups()
            position = position_before(groups, self.last)
            if position is None or position <= before:
                return await self._reader.wait_for(done, self._options.settle)  # of a task that was done a moment ago
            before = position
        return True

    async def _await_committed(self, seconds: float) -> None:
        end, known = time.monotonic() + seconds, True
        while known and not self._reader.worker_ended and time.monotonic() < end + self._options.timeout:
            groups = await self._connections.groups()
            left, self.observed.uncommitted = backlog_of(groups), uncommitted_of(groups)
            if left == 0:
                return
            known = left is not None
            await self._reader.wait(answer_reader.LOOK_S)
        await self._reader.wait(end - time.monotonic())

    async def _await_early_commit(self, step: steps.AwaitEarlyCommit) -> None:
        end = time.monotonic() + step.seconds
        while time.monotonic() < end and not self.observed.seen(step.name) and not self._reader.worker_ended:
            if is_committed(await self._connections.groups(), self._positions.get(step.name)):
                return
            await self._reader.wait(min(_COMMIT_LOOK_S, end - time.monotonic()))

    async def _command(self, step: steps.KillWorker | steps.StopWorker | steps.StartWorker) -> None:
        process, observed = self._connections.process, self.observed
        assert process is not None  # noqa: S101 - the check needs a command
        if isinstance(step, steps.StartWorker):
            return await process.start()
        await self._reader.take()
        observed.answered_before_stop = observed.answered()
        observed.restarted = True
        if isinstance(step, steps.KillWorker):
            return await process.kill()
        observed.had_to_be_killed = not await process.stop(self._options.timeout)
        return None
