"""One rule of the wire, and how it is checked: the type that the lists of checks are made of. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from kallback.documentation import page_address
from kallback.wire_check.observed import CheckResult, Observed
from kallback.wire_check.options import WireCheckOptions
from kallback.wire_check.steps import CheckStep, SendTask

ListSteps = Callable[[WireCheckOptions], Sequence[CheckStep]]
Decide = Callable[[Observed, WireCheckOptions], CheckResult]


class CheckNeed(StrEnum):
    """What a check cannot do without; the value says how to give it."""

    FAILING_REQUEST = "give a request that the worker fails, with --failing-request"
    LONG_REQUEST = "give a request that takes more than three seconds, with --long-request"
    HEARTBEATS = "the task type has no heartbeats, as --no-heartbeats says"
    UNICODE_REQUEST = "give a --request with characters beyond ASCII"
    COMMAND = "give the worker's command with --command, so that it can be killed and started again"
    CONTROL_TOPIC = "the control topic does not exist: create it with kallback topics create"


@dataclass(frozen=True, slots=True)
class ProtocolCheck:
    """One rule of the wire, and how it is checked.

    Attributes:
        name: stable, for scripts.
        rule: in a sentence.
        anchor: of the section of the wire that has the rule.
        steps: what is done.
        decide: what came, to a verdict.
        needs: what must be given.
    """

    name: str
    rule: str
    anchor: str
    steps: ListSteps
    decide: Decide
    needs: frozenset[CheckNeed] = frozenset()

    @property
    def page(self) -> str:
        """Where the rule is written."""
        return page_address("wire", self.anchor)


def check_of(
    name: str, rule: str, anchor: str, decide: Decide, *needs: CheckNeed
) -> Callable[[ListSteps], ProtocolCheck]:
    """Make a check of the function that lists its steps."""
    return lambda steps: ProtocolCheck(name, rule, anchor, steps, decide, frozenset(needs))


def good_request(options: WireCheckOptions) -> bytes:
    """The value of most tasks."""
    return options.requests.good[0]


def long_task(name: str, options: WireCheckOptions) -> SendTask:
    """A task of checks that need one that takes some seconds; it asks for progress if its type has heartbeats."""
    return SendTask(name=name, value=options.requests.long or good_request(options), monitored=options.heartbeats)
