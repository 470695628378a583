"""Applies the policy of a task type to its late results: dead letter, drop, or a Restate handler.

What is done is remembered, so that copies need nothing of their own; see `KnownCopies`.
"""

from __future__ import annotations

from kallback.bridge.context import BridgeContext
from kallback.bridge.in_flight.records import FetchedRecord
from kallback.bridge.pipeline.copy_settler import CopySettler
from kallback.bridge.pipeline.late_sender import LateDelivery, LateSender
from kallback.bridge.pipeline.settler import Settlement, Settler
from kallback.bridge.results.decide import KnownCopy, Late
from kallback.bridge.results.known_copies import KnownCopies, content_of
from kallback.bridge.results.late_policy import DROPPED, HISTORY, LATE, DropLate, LateResult, ToHandler
from kallback.protocol import Outcome, UnusableResultError


class LateSettler:
    """Gives each late result its outcome.

    Args:
        known: the late results whose copies need nothing of their own.
        copies: settles copies.
        sender: sends to handlers.
        settler: writes dead letters.
    """

    def __init__(
        self, known: KnownCopies, copies: CopySettler, sender: LateSender, settler: Settler, context: BridgeContext
    ) -> None:
        self._known = known
        self._copies = copies
        self._sender = sender
        self._settler = settler
        self._context = context

    def settle(self, fetched: FetchedRecord, verdict: Late) -> None:
        """Settle a late result that is in flight."""
        if fetched.record.history:
            self._count_history(fetched, verdict)
            return
        policy = self._context.options.late.of(verdict.target.task_type)
        if isinstance(policy, DropLate):
            dropped = KnownCopy(Outcome.LATE, verdict.target, DROPPED)
            self._known.add_target(dropped)
            self._copies.settle(fetched, dropped)
        elif isinstance(policy, ToHandler):
            self._send(fetched, verdict, policy)
        else:
            self._dead_letter(fetched, verdict, verdict.detail)

    def _count_history(self, fetched: FetchedRecord, verdict: Late) -> None:
        self._context.log.warning(
            "late results from before the first commit of this group are counted as history, nothing else is done",
            kind=HISTORY,
            record=repr(fetched.record),
            detail=verdict.detail,
        )
        self._settler.settle(Settlement(fetched, Outcome.LATE, verdict.target, HISTORY, verdict.detail))

    def _send(self, fetched: FetchedRecord, verdict: Late, handler: ToHandler) -> None:
        handled = self._known.of_target(verdict.target)
        if handled is not None:
            self._copies.settle(fetched, handled)
            return
        try:
            answer = verdict.result.answer(verdict.target.task_type)
        except UnusableResultError as error:
            detail = f"{verdict.detail}, and no result that a handler could be given: {error.detail}"
            self._dead_letter(fetched, verdict, detail)
        else:
            result = LateResult(verdict.target, answer, fetched.record.timestamp_ms)
            self._sender.submit(LateDelivery(fetched, result, handler))

    def _dead_letter(self, fetched: FetchedRecord, verdict: Late, detail: str) -> None:
        content = content_of(fetched.record)
        copy = self._known.of_content(content)
        if copy is not None:
            self._copies.settle(fetched, copy)
            return
        self._known.add_content(content, KnownCopy(Outcome.LATE, verdict.target, LATE))
        self._settler.settle(Settlement(fetched, Outcome.LATE, verdict.target, LATE, detail))
