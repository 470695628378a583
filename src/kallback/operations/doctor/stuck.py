"""What the doctor finds of handlers that fail again and again, and of deployments that give Restate no answer. Pure.

One deployment is one finding, however many handlers it serves. A handler that fails by itself is one, too.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from typing import Final

from kallback.operations.doctor.failures import admin_command, repair_of
from kallback.operations.doctor.findings import Finding, follows, problem, warning
from kallback.operations.invocations import MOST_STUCK, InvocationStatus

START_SERVICE: Final = (
    "start the service there: what began there goes on only there; another address, once registered, takes what has "
    "not begun, and what begins from then on"
)
_START_OR_REGISTER: Final = (
    "start the service there, or register the address that it has moved to: what waits has not begun, and goes on by "
    "itself at the address that was registered last"
)
_NAMED: Final = 3
"""Handlers that a sentence names."""


class StuckInvocations:
    """Invocations that back off or are paused.

    Args:
        found: those of any application in this Restate.
        silent: ids of deployments whose silence is a finding already.
        answering: ids of deployments that have just answered.
    """

    def __init__(
        self,
        found: Sequence[InvocationStatus],
        silent: AbstractSet[str] = frozenset(),
        answering: AbstractSet[str] = frozenset(),
    ) -> None:
        self._is_cut_off: Final = len(found) >= MOST_STUCK
        self._answering: Final = answering
        self._deployments: Final = defaultdict[str, list[InvocationStatus]](list)
        self._handlers: Final = defaultdict[str, list[InvocationStatus]](list)
        for each in found:
            if each.is_question:
                continue
            if each.unreached is None:
                self._handlers[handler_of(each)].append(each)
            elif each.unreached not in silent:
                self._deployments[each.unreached].append(each)

    def findings(self, waiting: AbstractSet[str] = frozenset()) -> Iterator[Finding]:
        """One for each deployment that gave no answer, then one for each handler that fails.

        Args:
            waiting: ids of invocations that wait for tasks of this environment: for them it is a problem.
        """
        for deployment, own in self._deployments.items():
            yield self._unreached(deployment, own, waiting)
        for handler, own in self._handlers.items():
            yield self._failing(handler, own, waiting)

    def _unreached(self, deployment: str, own: Sequence[InvocationStatus], waiting: AbstractSet[str]) -> Finding:
        worst = _worst(own)
        said = f"{self._counted(own)} of {handlers_of(own)} cannot go on"
        if deployment in self._answering:
            again = resumed(own, "wait: Restate tries again by itself")
            return warning("invocations", f"{said}: the service gave no answer before, and does now", again)
        said = f"{said}, because Restate gets no answer of the service: {worst.failure_line}"
        return _severity(own, waiting)("invocations", said, resumed(own, start_remedy(own)))

    def _failing(self, handler: str, own: Sequence[InvocationStatus], waiting: AbstractSet[str]) -> Finding:
        worst = _worst(own)
        said = f"{self._counted(own)} of {handler} cannot go on: {worst.id} is {worst.status}, tried "
        said += f"{worst.retry_count or 0} times"
        if worst.last_failure:
            said = f"{said}: {worst.failure_line}"
        return _severity(own, waiting)("invocations", said, resumed(own, repair_of(worst)))

    def _counted(self, own: Sequence[InvocationStatus]) -> str:
        at_least = "at least " if self._is_cut_off else ""
        return "1 invocation" if len(own) == 1 else f"{at_least}{len(own):,} invocations"


def handler_of(invocation: InvocationStatus) -> str:
    """Service and handler, without a key."""
    service, _, rest = invocation.target.partition("/")
    return f"{service}/{rest.rpartition('/')[2]}"


def handlers_of(invocations: Sequence[InvocationStatus]) -> str:
    """Their handlers, in bounds."""
    names = sorted({handler_of(each) for each in invocations})
    more = f" and {len(names) - _NAMED} more handlers" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more


def start_remedy(own: Sequence[InvocationStatus]) -> str:
    """What to do for invocations that cannot reach their deployment: Restate binds to it only those that have begun."""
    is_bound = not own or any(each.pinned_deployment_id is not None for each in own)
    return START_SERVICE if is_bound else _START_OR_REGISTER


def waits_finding(invocation: InvocationStatus) -> Finding:
    """For the invocation of a task, if its service gives no answer, which is a finding of its own."""
    said = f"{invocation.short_target} is {invocation.status}, and goes on when its service answers"
    return follows("invocation", said)


def _worst(own: Sequence[InvocationStatus]) -> InvocationStatus:
    return max(own, key=lambda each: each.retry_count or 0)


def resumed(own: Sequence[InvocationStatus], remedy: str) -> str:
    """A remedy, with what follows for paused invocations."""
    paused = next((each for each in own if each.status == "paused"), None)
    return remedy if paused is None else f"{remedy}, then resume what is paused: {admin_command('resume', paused.id)}"


def _severity(own: Sequence[InvocationStatus], waiting: AbstractSet[str]) -> Callable[[str, str, str], Finding]:
    return problem if any(each.id in waiting for each in own) else warning
