"""Carries the checks out: sends, reads, waits. Decides nothing.

One task does it all: it waits by reading both topics. After each check it sends an ordinary task to the same partition.
If that has no answer, the rest of the checks is not carried out: there would be one timeout after the other.
"""

from __future__ import annotations

import asyncio
import math
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, assert_never

from kallback.kafka import OutgoingRecord, Position, Record
from kallback.protocol import AccessDeniedError, MissingTopicError, RecordTooLargeError, TaskId, task_id_of
from kallback.protocol.tokens import MIN_KEY_BYTES, TASK_ID_BYTES
from kallback.settings import named_log
from kallback.wire_check import steps
from kallback.wire_check.checks import CHECKS, ONE_ANSWER
from kallback.wire_check.connections import CheckConnections
from kallback.wire_check.decide import decide_one_answer
from kallback.wire_check.ledger import CheckLedger
from kallback.wire_check.observed import ALIVE, CheckResult, CheckVerdict, Observed, failed, not_covered
from kallback.wire_check.options import WireCheckOptions
from kallback.wire_check.protocol_check import CheckNeed, ProtocolCheck
from kallback.wire_check.silence import why_silent
from kallback.wire_check.worker_groups import backlog_of, position_before

log: Final = named_log("kallback.wire_check")
_SILENT: Final = "after this, the worker answered no ordinary task any more"
_NEEDS_GOOD: Final = "the other checks need a task that the worker completes: give one with --request"
_BEGIN_S: Final = 3.0
_LOOK_S: Final = 1.0
"""How often it is looked whether the worker's process has ended."""


@dataclass(slots=True)
class _CheckRun:
    """One check that is carried out.

    Attributes:
        key: of its records.
        ids: task ids by the name of the task.
        records: by the name of the task, as they were sent.
        last: where its last task is.
    """

    observed: Observed
    key: bytes
    ids: dict[str, TaskId]
    records: dict[str, OutgoingRecord]
    last: Position | None = None

    def id_of(self, name: str) -> TaskId:
        return self.ids.setdefault(name, task_id_of(secrets.token_bytes(TASK_ID_BYTES)))


class WireCheckRunner:
    """Runs all checks on one worker, one after the other."""

    def __init__(self, options: WireCheckOptions, connections: CheckConnections) -> None:
        self._options: Final = options
        self._connections: Final = connections
        self._ledger: Final = CheckLedger(options, secrets.token_bytes(MIN_KEY_BYTES))
        self._run = _new_run()
        self._backlog = 0  # records of before the check, which the worker may still be working off
        self._ended_by = ""  # why nothing more is asked of the worker

    async def run(self, on_step: Callable[[str], None] = lambda _: None) -> list[tuple[str, CheckResult]]:
        """Carry the checks out; returns the verdicts by the names of the checks.

        Args:
            on_step: is told in words what is being done.

        Raises:
            KafkaUnavailableError: no broker answered.
            ConfigurationError: the worker's command cannot be started.
        """
        await self._read_earlier_answers()
        await self._await_backlog(on_step)
        done = list[tuple[ProtocolCheck, Observed | CheckResult]]()
        for check in CHECKS:
            if self._options.only and check.name not in self._options.only:
                continue
            on_step(f"checking: {check.name}")
            done.append((check, self._obstacle(check) or await self._carry_out(check)))
        on_step(f"checking: {ONE_ANSWER}")
        await self._wait_for(lambda: False, self._options.settle)
        observed = [found for _, found in done if isinstance(found, Observed)]
        results = [(check.name, self._result(check, found)) for check, found in done]
        return [*results, (ONE_ANSWER, decide_one_answer(observed))]

    def _result(self, check: ProtocolCheck, found: Observed | CheckResult) -> CheckResult:
        """The verdict, of all that has come until the end."""
        if isinstance(found, CheckResult):
            return found
        if found.obstacle:
            return not_covered(found.obstacle)
        result = check.decide(found, self._options)
        if not found.silent:
            return result
        said = result.sentence if result.verdict is CheckVerdict.FAIL else _SILENT
        return failed(f"{said}; {found.ended}" if found.ended else said)

    def _obstacle(self, check: ProtocolCheck) -> CheckResult | None:
        if self._ended_by:
            return not_covered(self._ended_by)
        missing = next((need for need in sorted(check.needs) if not self._has(need)), None)
        return None if missing is None else not_covered(missing.value)

    def _has(self, need: CheckNeed) -> bool:
        requests = self._options.requests
        match need:
            case CheckNeed.FAILING_REQUEST:
                return requests.failing is not None
            case CheckNeed.LONG_REQUEST:
                return requests.long is not None
            case CheckNeed.UNICODE_REQUEST:
                return requests.unicode is not None
            case CheckNeed.COMMAND:
                return self._connections.process is not None
            case CheckNeed.CONTROL_TOPIC:
                return bool(self._options.topics.control)

    async def _carry_out(self, check: ProtocolCheck) -> Observed:
        self._run = run = _new_run()
        observed = run.observed
        observed.backlog = self._backlog
        try:
            for step in check.steps(self._options):
                await self._do(step)
            observed.silent = not await self._answers(check)
        except (RecordTooLargeError, AccessDeniedError, MissingTopicError) as error:
            observed.obstacle = str(error)
        if observed.silent:
            self._ended_by = f"the worker answers no tasks since the check {check.name}"
            observed.ended = (
                "" if observed.strays else why_silent(await self._connections.groups(), run.last, self._ended)
            )
        elif check is CHECKS[0] and check.decide(observed, self._options).verdict is CheckVerdict.FAIL:
            self._ended_by = _NEEDS_GOOD
        return observed

    async def _answers(self, check: ProtocolCheck) -> bool:
        """Whether the worker still answers an ordinary task."""
        observed = self._run.observed
        if check is CHECKS[0] and observed.unanswered():
            return False
        await self._send_task(steps.SendTask(name=ALIVE, value=self._options.requests.good[0]))
        return await self._wait_for_answers(lambda: bool(observed.seen(ALIVE)), self._options.timeout)

    async def _do(self, step: steps.CheckStep) -> None:
        match step:
            case steps.SendTask():
                await self._send_task(step)
            case steps.SendTogether(tasks):
                await asyncio.gather(*map(self._send_task, tasks))
            case steps.AwaitAnswers() | steps.AwaitBegin() | steps.Wait() | steps.AwaitCommitted():
                await self._await(step)
            case steps.KillWorker() | steps.StopWorker() | steps.StartWorker():
                await self._command(step)
            case _:
                await self._send_other(step)

    async def _send_task(self, step: steps.SendTask) -> None:
        run, now_ms = self._run, int(time.time() * 1000)
        task_id = run.id_of(step.task_of or step.name)
        run.ids[step.name] = task_id
        record = self._ledger.make_task(step, task_id, run.observed, now_ms=now_ms, key=run.key)
        run.records[step.name] = record
        run.observed.sent[step.name] += 1
        run.last = await self._connections.producer.send(record)

    async def _send_other(self, step: steps.SendCopy | steps.SendNoTask | steps.SendCancel | steps.SendControl) -> None:
        run, topics = self._run, self._options.topics
        match step:
            case steps.SendCopy(name):
                run.observed.sent[name] += 1
                record = run.records[name]
            case steps.SendNoTask(value):
                record = OutgoingRecord(topics.tasks, value, run.key)
            case steps.SendCancel(name, forged):
                record = self._ledger.cancel_of(run.id_of(name), int(time.time() * 1000), forged=forged)
            case steps.SendControl(value):
                record = OutgoingRecord(topics.control, value, run.key)
            case _:
                assert_never(step)
        await self._connections.producer.send(record)

    async def _await(self, step: steps.AwaitAnswers | steps.AwaitBegin | steps.Wait | steps.AwaitCommitted) -> None:
        observed = self._run.observed
        match step:
            case steps.AwaitAnswers(names, any_one, after_restart):
                wanted = names or tuple(observed.tasks())
                enough = any if any_one else all
                limit = self._options.timeout + (
                    self._options.restart_grace if after_restart and self._connections.process else 0
                )
                await self._wait_for_answers(
                    # Records without a valid token are all that comes of a worker that does not echo it.
                    lambda: (
                        enough(bool(observed.seen(name)) for name in wanted)
                        or (not self._backlog and len(observed.strays) >= len(wanted))
                    ),
                    limit,
                )
            case steps.AwaitBegin(name):
                await self._wait_for(lambda: bool(observed.progress.get(name) or observed.seen(name)), _BEGIN_S)
            case steps.Wait(seconds):
                await self._wait_for(lambda: False, seconds)
            case steps.AwaitCommitted(seconds):
                await self._await_committed(seconds)

    async def _command(self, step: steps.KillWorker | steps.StopWorker | steps.StartWorker) -> None:
        process, observed = self._connections.process, self._run.observed
        assert process is not None  # noqa: S101 - the check needs a command
        if isinstance(step, steps.StartWorker):
            return await process.start()
        await self._wait_for(lambda: True, 0)
        observed.answered_before_stop = frozenset(name for name in observed.tasks() if observed.seen(name))
        observed.restarted = True
        if isinstance(step, steps.KillWorker):
            return await process.kill()
        observed.had_to_be_killed = not await process.stop(self._options.timeout)
        return None

    @property
    def _ended(self) -> str:
        process = self._connections.process
        return "" if process is None else process.ended

    async def _read_earlier_answers(self) -> None:
        """Pass over what other runs have left in the topics of answers."""
        for reader in (self._connections.results, self._connections.progress):
            end = time.monotonic() + self._options.timeout
            while not reader.caught_up.is_set() and time.monotonic() < end:
                await reader.fetch(_LOOK_S)

    async def _await_backlog(self, on_step: Callable[[str], None]) -> None:
        """Wait until the worker has done what was in its topic before; as long as it gets on with it."""
        if not self._connections.earlier:
            return
        fewest, patience = math.inf, self._options.timeout
        end = time.monotonic() + patience + (self._options.restart_grace if self._connections.process else 0)
        while time.monotonic() < end and not self._ended:
            groups = await self._connections.groups()
            left = backlog_of(groups)
            if left == 0:
                self._backlog = 0
                return
            if groups is None or (left is None and self._connections.process is None):
                return  # nothing is known, or there is no worker, which the first check says
            if left is not None and left < fewest:
                self._report_backlog(left, on_step)
                fewest, end = left, time.monotonic() + patience
            await asyncio.sleep(_LOOK_S)

    def _report_backlog(self, left: int, on_step: Callable[[str], None]) -> None:
        if not self._backlog:
            log.warning("the worker first does what was in its topic before the check", records=left)
        self._backlog = left
        on_step(f"waiting: the worker has {left} records of before the check to do")

    async def _await_committed(self, seconds: float) -> None:
        end, known = time.monotonic() + seconds, True
        while known and time.monotonic() < end + self._options.timeout:
            left = backlog_of(await self._connections.groups())
            if left == 0:
                return
            known = left is not None
            await self._wait_for(lambda: False, _LOOK_S)
        await self._wait_for(lambda: False, end - time.monotonic())

    async def _wait_for_answers(self, done: Callable[[], bool], seconds: float) -> bool:
        """Wait as long as told; longer while the worker's group gets nearer to the task that it was sent last."""
        before = -math.inf
        while not await self._wait_for(done, seconds):
            position = None if self._ended else position_before(await self._connections.groups(), self._run.last)
            if position is None or position <= before:
                return await self._wait_for(done, self._options.settle)  # of a task that was done a moment ago
            before = position
        return True

    async def _wait_for(self, done: Callable[[], bool], seconds: float) -> bool:
        """Read until something is the case, the time is over, or the worker has ended; returns whether it is."""
        end = time.monotonic() + seconds
        while not done():
            left = end - time.monotonic()
            if left <= 0 or self._ended:
                return False
            await self._read(min(left, _LOOK_S))
        return True

    async def _read(self, seconds: float) -> None:
        """Take the next records of either topic."""
        connections = self._connections
        fetches = {
            asyncio.ensure_future(connections.results.fetch(seconds)): self._ledger.take_result,
            asyncio.ensure_future(connections.progress.fetch(seconds)): self._ledger.take_progress,
        }
        try:
            await asyncio.wait(fetches, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for fetch in fetches:
                fetch.cancel()
            await asyncio.wait(fetches)
        for fetch, take in fetches.items():
            for record in () if fetch.cancelled() else fetch.result():
                self._take(take, record)

    def _take(self, take: Callable[[Record, Observed, float], None], record: Record) -> None:
        take(record, self._run.observed, time.monotonic())


def _new_run() -> _CheckRun:
    return _CheckRun(Observed(), secrets.token_hex(4).encode(), {}, {})
