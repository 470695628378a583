"""Whether a worker can do the tasks of a contract: its functions, and their types."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from kallback.contracts.contract import Contract, TypeContract, payload_of
from kallback.contracts.diff import ChangeSeverity, ContractFinding
from kallback.contracts.fits import misfits
from kallback.protocol.tasktypes import TaskType

_RESULTS = "services with the contract"


def check_worker(contract: Contract, task_types: Sequence[TaskType[Any, Any]], group: str) -> list[ContractFinding]:
    """Compare the task types for which a worker has functions with a contract.

    Args:
        contract: of the tasks that reach the worker.
        task_types: those that are registered.
        group: the worker's name, for sentences.

    Raises:
        ConfigurationError: a registered type has no JSON Schema.
    """
    registered = {each.name: each for each in task_types}
    found: list[ContractFinding] = []
    for each in contract.types:
        if each.name in registered:
            found += _check(each, registered[each.name])
        else:
            sentence = (
                f"worker {group!r} has no function for it: register one, or name the types of this worker with --type; "
                "a type of awakeables needs no worker, so export without it (MODULE:NAME,...)"
            )
            found.append(ContractFinding(ChangeSeverity.BREAKING, each.name, "", _RESULTS, sentence))
    names = {each.name for each in contract.types}
    for name in sorted(registered.keys() - names):
        sentence = f"worker {group!r} has a function for it, and the contract does not name it"
        found.append(ContractFinding(ChangeSeverity.NOTE, name, "", "", sentence))
    return sorted(found, key=lambda each: each.severity is not ChangeSeverity.BREAKING)


def _check(contract: TypeContract, task_type: TaskType[Any, Any]) -> Iterator[ContractFinding]:
    name = contract.name
    if contract.topic != task_type.topic:
        sentence = f"the worker reads {task_type.topic}; the tasks of the contract are in {contract.topic}"
        yield ContractFinding(ChangeSeverity.BREAKING, name, "topic", _RESULTS, sentence)
    request = payload_of(task_type.request, f"the request of task type {name}")
    result = payload_of(task_type.result, f"the result of task type {name}")
    for part, written, read, who in (
        ("request", contract.request.written, request.read, "the contract says"),
        ("result", result.written, contract.result.read, "the worker writes it"),
    ):
        for each in misfits(written, read):
            member = part + each.member.removeprefix("$")
            severity = ChangeSeverity.BREAKING if each.refused else ChangeSeverity.NOTE
            breaks = "the worker" if part == "request" else _RESULTS
            yield ContractFinding(severity, name, member, breaks, f"{member}, as {who}, {each.sentence}")
