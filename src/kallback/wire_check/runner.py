"""Carries all checks out, one after the other, and asks for the verdicts. Decides nothing.

After each check it sends an ordinary task to the same partition. If that has no answer, the rest of the checks is not
carried out: there would be one timeout after the other.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import Final

from kallback.protocol import AccessDeniedError, MissingTopicError, RecordTooLargeError
from kallback.protocol.tokens import MIN_KEY_BYTES
from kallback.wire_check.answer_reader import AnswerReader
from kallback.wire_check.backlog import await_backlog
from kallback.wire_check.check_run import CheckRun
from kallback.wire_check.checks import CHECKS, ONE_ANSWER
from kallback.wire_check.connections import CheckConnections
from kallback.wire_check.ledger import CheckLedger
from kallback.wire_check.observed import CheckResult, CheckVerdict, Observed, failed, not_covered
from kallback.wire_check.options import WireCheckOptions
from kallback.wire_check.protocol_check import CheckNeed, ProtocolCheck
from kallback.wire_check.silence import why_silent
from kallback.wire_check.verdicts.decide import decide_one_answer
from kallback.wire_check.verdicts.mixed_up import mixed_up

_SILENT: Final = "after this, the worker answered no ordinary task any more"
_NEEDS_GOOD: Final = "the other checks need a task that the worker completes: give one with --request"


class WireCheckRunner:
    """Runs all checks on one worker, one after the other."""

    def __init__(self, options: WireCheckOptions, connections: CheckConnections) -> None:
        self._options: Final = options
        self._connections: Final = connections
        self._ledger: Final = CheckLedger(options, secrets.token_bytes(MIN_KEY_BYTES))
        self._reader: Final = AnswerReader(connections, self._ledger)
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
        await self._reader.skip_earlier(self._options.timeout)
        self._backlog = await await_backlog(self._options, self._connections, on_step)
        if self._connections.earlier:
            await self._reader.skip_new(self._options.timeout)
        done = list[tuple[ProtocolCheck, Observed | CheckResult]]()
        for check in CHECKS:
            if self._options.only and check.name not in self._options.only:
                continue
            on_step(f"checking: {check.name}")
            done.append((check, self._obstacle(check) or await self._carry_out(check)))
        on_step(f"checking: {ONE_ANSWER}")
        await self._reader.wait(self._options.settle)
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
            case CheckNeed.HEARTBEATS:
                return self._options.heartbeats
            case CheckNeed.UNICODE_REQUEST:
                return requests.unicode is not None
            case CheckNeed.COMMAND:
                return self._connections.process is not None
            case CheckNeed.CONTROL_TOPIC:
                return bool(self._options.topics.control)

    async def _carry_out(self, check: ProtocolCheck) -> Observed:
        run = CheckRun(self._options, self._connections, self._ledger, self._reader, self._backlog)
        observed = run.observed
        try:
            for step in check.steps(self._options):
                await run.do(step)
            observed.silent = (check is CHECKS[0] and bool(observed.unanswered())) or not await run.is_alive()
        except (RecordTooLargeError, AccessDeniedError, MissingTopicError) as error:
            observed.obstacle = str(error)
        if observed.silent:
            self._ended_by = f"the worker answers no tasks since the check {check.name}"
            observed.ended = await self._why_silent(run)
        elif check is CHECKS[0] and check.decide(observed, self._options).verdict is CheckVerdict.FAIL:
            self._ended_by = _NEEDS_GOOD
        return observed

    async def _why_silent(self, run: CheckRun) -> str:
        if run.observed.strays or mixed_up(run.observed):  # it answers, and the verdict says what is wrong with that
            return ""
        reply_topic = self._options.topics.results
        return why_silent(await self._connections.groups(), run.last, reply_topic, self._reader.worker_ended)
