"""What a change of a contract breaks, for whom, and who has to be deployed first.

While an upgrade rolls, each side runs with both contracts. So four pairs meet: requests of the old services reach new
workers, and those of new services old workers; results of old workers reach new services, and those of new workers old
services, among them handlers that began before and wait on the old deployment. A pair that does not fit is avoided by
the order of deployment; if two pairs need opposite orders, no order helps, and the change needs a new task type.

Workers in other languages may write all results that services read, also what workers in Python never write: a member
with a default may be left out. So results are compared twice.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

import orjson

from kallback.contracts.contract import Contract, Payload, TypeContract
from kallback.contracts.defaults import changed_defaults
from kallback.contracts.fits import Misfit, misfits


class ChangeSeverity(StrEnum):
    """Whether a change needs care."""

    BREAKING = "breaking"
    NOTE = "note"


class Side(StrEnum):
    """Who has to be deployed first."""

    SERVICES = "services"
    WORKERS = "workers"
    NEITHER = "neither"
    """No order helps."""
    ANY = "any"


@dataclass(frozen=True, slots=True)
class ContractFinding:
    """One change, or one that does not fit.

    Attributes:
        task_type: its name.
        member: the place: `request.items[].price`, `result`, `topic`, `heartbeat_every`.
        breaks: who fails; empty for a note that concerns nobody.
        sentence: what is the matter.
        first: who has to be deployed first because of this finding alone.
        advice: what to do, all findings of the task type considered.
    """

    severity: ChangeSeverity
    task_type: str
    member: str
    breaks: str
    sentence: str
    first: Side = Side.ANY
    advice: str = ""


_OLD_SERVICES: Final = "services with the old contract"
_NEW_SERVICES: Final = "services with the new contract"
_OLD_WORKERS: Final = "workers with the old contract"
_NEW_WORKERS: Final = "workers with the new contract"
_ADVICE: Final = {
    Side.SERVICES: "Deploy all services first. Begin with the workers when no handler waits on the old deployment "
    "and no task of it is left in the topic.",
    Side.WORKERS: "Deploy all workers first, then the services.",
    Side.NEITHER: "No order of deployment helps: declare the new form as a task type with a new name, deploy workers "
    "for it, then services; remove the old one when its last task has ended.",
    Side.ANY: "",
}
_LIMITS: Final = {
    "heartbeat_every": "heartbeats",
    "start_timeout": "a started record",
}


def diff(old: Contract, new: Contract) -> list[ContractFinding]:
    """Compare two contracts: breaking changes first, then by task type and member."""
    before, after = ({each.name: each for each in contract.types} for contract in (old, new))
    found: list[ContractFinding] = []
    for name in sorted(before.keys() | after.keys()):
        was, now = before.get(name), after.get(name)
        if now is None:
            found.append(_removed(name))
        elif was is None:
            found.append(_added(name))
        else:
            found += _with_advice([*_changed(was, now)])
    return sorted(found, key=lambda each: (each.severity is not ChangeSeverity.BREAKING, each.task_type, each.member))


def _removed(name: str) -> ContractFinding:
    sentence = "the task type is gone: its tasks wait until their deadline if new workers alone are left"
    advice = "Deploy the services first; remove the workers when the last task has ended."
    return ContractFinding(ChangeSeverity.BREAKING, name, "", _OLD_SERVICES, sentence, Side.SERVICES, advice)


def _added(name: str) -> ContractFinding:
    sentence = "the task type is new: its tasks wait until workers know it"
    return ContractFinding(ChangeSeverity.NOTE, name, "", "", sentence, Side.WORKERS, _ADVICE[Side.WORKERS])


def _changed(old: TypeContract, new: TypeContract) -> Iterator[ContractFinding]:
    yield from _requests(old, new)
    yield from _results(old, new)
    yield from _defaults(new.name, "request", old.request, new.request)
    yield from _defaults(new.name, "result", old.result, new.result)
    yield from _topics(old, new)
    yield from _limits(old, new)
    if new.convention is not old.convention:
        sentence = f"tasks have the headers for {new.convention}, no longer those for {old.convention}"
        yield ContractFinding(ChangeSeverity.BREAKING, new.name, "convention", _OLD_WORKERS, sentence, Side.WORKERS)


def _requests(old: TypeContract, new: TypeContract) -> Iterator[ContractFinding]:
    known = _known(old.request)
    for writer, reader, breaks, writes, first in (
        (old, new, _NEW_WORKERS, _OLD_SERVICES, Side.SERVICES),
        (new, old, _OLD_WORKERS, _NEW_SERVICES, Side.WORKERS),
    ):
        found = misfits(writer.request.written, reader.request.read)
        yield from _findings(found, known, new.name, "request", (breaks, writes), first)


def _results(old: TypeContract, new: TypeContract) -> Iterator[ContractFinding]:
    known = _known(old.result)
    for writer, reader, breaks, writes, first in (
        (old, new, _NEW_SERVICES, _OLD_WORKERS, Side.WORKERS),
        (new, old, _OLD_SERVICES, _NEW_WORKERS, Side.SERVICES),
    ):
        found = misfits(writer.result.written, reader.result.read)
        yield from _findings(found, known, new.name, "result", (breaks, writes), first)
        refused = {each.member for each in found if each.refused}
        allowed = misfits(writer.result.read, reader.result.read)
        others = [each for each in allowed if each.refused and each.member not in refused]
        allows = f"{writes}, in other languages, may"
        yield from _findings(others, frozenset(), new.name, "result", (breaks, allows), first)


def _known(payload: Payload) -> frozenset[Misfit]:
    """What did not fit before the change, either."""
    return frozenset(misfits(payload.written, payload.read))


def _findings(
    found: Iterable[Misfit], known: frozenset[Misfit], name: str, part: str, who: tuple[str, str], first: Side
) -> Iterator[ContractFinding]:
    reader, writer = who
    for each in found:
        if each in known:
            continue
        member = part + each.member.removeprefix("$")
        sentence = f"{member}, as {writer} write it, {each.sentence}"
        if each.refused:
            yield ContractFinding(ChangeSeverity.BREAKING, name, member, reader, sentence, first)
        else:
            yield ContractFinding(ChangeSeverity.NOTE, name, member, reader, f"{sentence} by {reader}")


def _defaults(name: str, part: str, old: Payload, new: Payload) -> Iterator[ContractFinding]:
    for place, was, now in changed_defaults(old.read, new.read):
        member = part + place.removeprefix("$")
        sentence = (
            f"the default of {member} was {_json(was)} and is {_json(now)}: where it is left out, sides with the old "
            "contract and sides with the new one understand different values"
        )
        yield ContractFinding(ChangeSeverity.NOTE, name, member, "", sentence)


def _json(value: object) -> str:
    return orjson.dumps(value).decode()


def _topics(old: TypeContract, new: TypeContract) -> Iterator[ContractFinding]:
    if old.topic != new.topic:
        sentence = f"tasks go to {new.topic}, no longer to {old.topic}, which old workers read"
        advice = (
            f"Deploy new workers beside the old ones, then the services; stop the old ones when {old.topic} is empty."
        )
        yield ContractFinding(ChangeSeverity.BREAKING, new.name, "topic", _OLD_WORKERS, sentence, Side.WORKERS, advice)
    if old.results != new.results:
        sentence = f"results go to {new.results}, no longer to {old.results}: it must exist, and be read by a bridge"
        advice = (
            f"Create {new.results} and let bridges read it, and let workers answer to it, before the services change."
        )
        yield ContractFinding(
            ChangeSeverity.BREAKING, new.name, "results", _OLD_WORKERS, sentence, Side.WORKERS, advice
        )


def _limits(old: TypeContract, new: TypeContract) -> Iterator[ContractFinding]:
    for limit, what in _LIMITS.items():
        if limit in new.seconds and limit not in old.seconds:
            sentence = f"attempts without {what} count as lost; workers of the kit send them, others may not"
            yield ContractFinding(ChangeSeverity.BREAKING, new.name, limit, _OLD_WORKERS, sentence, Side.WORKERS)
    for limit in sorted(old.seconds.keys() | new.seconds.keys()):
        was, now = old.seconds.get(limit), new.seconds.get(limit)
        if was != now and not (limit in _LIMITS and was is None):
            sentence = f"{limit} was {_seconds(was)} and is {_seconds(now)}"
            yield ContractFinding(ChangeSeverity.NOTE, new.name, limit, "", sentence)


def _seconds(value: float | None) -> str:
    return "none" if value is None else f"{value:g} s"


def _with_advice(findings: list[ContractFinding]) -> list[ContractFinding]:
    """Say who goes first: what all breaking findings of a task type need together."""
    needed = {each.first for each in findings if each.severity is ChangeSeverity.BREAKING}
    order = needed.pop() if len(needed) == 1 else Side.NEITHER if needed else Side.ANY
    return [
        replace(each, first=order, advice=each.advice if each.advice and order is each.first else _ADVICE[order])
        if each.severity is ChangeSeverity.BREAKING
        else each
        for each in findings
    ]
