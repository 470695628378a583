"""What a change breaks, for whom, and who goes first."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Literal

import pytest
from tests.unit.contracts.test_asyncapi import task_types

from kallback.contracts import (
    ChangeSeverity,
    Contract,
    ContractFinding,
    Side,
    asyncapi_of,
    contract_of,
    diff,
    read_contract,
)
from kallback.protocol import ConfigurationError, TaskType
from kallback.protocol.frameworks.conventions import Convention
from kallback.settings import Topics


@dataclass
class Order:
    """The first version."""

    id: str
    note: str = ""


@dataclass
class OrderWithTable:
    """A further member that is required."""

    id: str
    table: int
    note: str = ""


@dataclass
class OrderWithSeat:
    """A further member with a default."""

    id: str
    note: str = ""
    seat: int = 0


@dataclass
class OrderWithLooseId:
    """A member of more types."""

    id: str | int
    note: str = ""


def contract(request: Any = Order, result: Any = Order, **more: Any) -> Contract:
    """Of one task type, read back from its document."""
    made = contract_of([TaskType("prepare", request, result, **more)], Topics())
    return read_contract(json.loads(json.dumps(asyncapi_of(made, "kitchen", "1"))), "contract.json")


def breaking(old: Contract, new: Contract) -> set[tuple[str, str, Side]]:
    """Where, whom, and who goes first."""
    found = [each for each in diff(old, new) if each.severity is ChangeSeverity.BREAKING]
    return {(each.member, each.breaks, each.first) for each in found}


OLD_WORKERS, NEW_WORKERS = "workers with the old contract", "workers with the new contract"
OLD_SERVICES, NEW_SERVICES = "services with the old contract", "services with the new contract"


def test_a_contract_that_is_the_same_has_no_findings() -> None:
    """Of each kind of type, also those whose readers ignore something of what is written."""
    made = contract_of(task_types(), Topics())
    again = read_contract(json.loads(json.dumps(asyncapi_of(made, "kitchen", "1"))), "contract.json")
    assert diff(made, again) == diff(again, made) == []


def test_a_required_member_of_a_request_breaks_new_workers() -> None:
    """Old services do not send it: they have to be gone first."""
    assert breaking(contract(), contract(OrderWithTable)) == {("request.table", NEW_WORKERS, Side.SERVICES)}


def test_a_member_that_requests_lose_breaks_old_workers() -> None:
    """They need it: new workers come first."""
    assert breaking(contract(OrderWithTable), contract()) == {("request.table", OLD_WORKERS, Side.WORKERS)}


def test_a_required_member_of_a_result_breaks_new_services() -> None:
    """The other way round: old workers do not send it."""
    assert breaking(contract(), contract(result=OrderWithTable)) == {("result.table", NEW_SERVICES, Side.WORKERS)}


def test_a_member_that_results_lose_breaks_old_services() -> None:
    """Handlers on the old deployment, too, so the advice names them."""
    old, new = contract(result=OrderWithTable), contract()
    assert breaking(old, new) == {("result.table", OLD_SERVICES, Side.SERVICES)}
    assert "no handler waits on the old deployment" in diff(old, new)[0].advice


@pytest.mark.parametrize("part", ["request", "result"])
def test_a_member_with_a_default_breaks_nobody(part: str) -> None:
    """Readers do without it, and those that do not know it ignore it: both are notes at most."""
    old, new = contract(), contract(**{part: OrderWithSeat})
    assert breaking(old, new) == breaking(new, old) == set()


@dataclass
class OrderWithoutDefault:
    """Its note has lost the default."""

    id: str
    note: str


def test_a_default_of_a_result_that_comes_or_goes_breaks_those_who_require_the_member() -> None:
    """Workers in Python write it always; those in other languages may leave out what has a default."""
    old, new = contract(), contract(result=OrderWithoutDefault)
    assert breaking(old, new) == {("result.note", NEW_SERVICES, Side.WORKERS)}
    assert breaking(new, old) == {("result.note", OLD_SERVICES, Side.SERVICES)}
    assert "in other languages, may write it, may be absent" in diff(old, new)[0].sentence
    assert breaking(contract(), contract(OrderWithoutDefault)) == set()


@dataclass
class Part:
    """Below."""

    count: int = 1


@dataclass
class Prepared:
    """A member with a default, at the top and below."""

    minutes: int = 0
    parts: list[Part] = field(default_factory=list[Part])


@dataclass
class LaterPart:
    """Its default is another one."""

    count: int = 2


@dataclass
class LaterPrepared:
    """Its default is another one, and that of what it holds."""

    minutes: int = 5
    parts: list[LaterPart] = field(default_factory=list[LaterPart])


def test_another_default_is_a_note() -> None:
    """Nothing is refused, and both sides understand what is left out as they were built."""
    old, new = contract(result=Prepared), contract(result=LaterPrepared)
    found = {each.member: each for each in diff(old, new)}
    assert found.keys() == {"result.minutes", "result.parts[].count"}
    assert {each.severity for each in found.values()} == {ChangeSeverity.NOTE}
    assert "the default of result.minutes was 0 and is 5" in found["result.minutes"].sentence
    assert [each.member for each in diff(contract(Prepared), contract(LaterPrepared))] == [
        "request.minutes",
        "request.parts[].count",
    ]


def test_a_wider_type_breaks_those_who_read_it_with_the_old_contract() -> None:
    """A request that may have more is for new workers, a result for new services."""
    assert breaking(contract(), contract(OrderWithLooseId)) == {("request.id", OLD_WORKERS, Side.WORKERS)}
    assert breaking(contract(), contract(result=OrderWithLooseId)) == {("result.id", OLD_SERVICES, Side.SERVICES)}


def test_changes_that_need_opposite_orders_need_another_task_type() -> None:
    """A request for which workers go first, a result for which services do."""
    found = diff(contract(), contract(OrderWithLooseId, OrderWithLooseId))
    assert {each.first for each in found} == {Side.NEITHER}
    assert all("task type with a new name" in each.advice for each in found)


def test_the_keys_of_maps_count_as_their_values_do() -> None:
    """More keys in a request are for new workers, fewer for old services; the other way round in a result."""
    few, many = dict[Literal["s", "m"], int], dict[Literal["s", "m", "l"], int]
    assert breaking(contract(few), contract(many)) == {("request.(key)", OLD_WORKERS, Side.WORKERS)}
    assert breaking(contract(many), contract(few)) == {("request.(key)", NEW_WORKERS, Side.SERVICES)}
    assert breaking(contract(result=few), contract(result=many)) == {("result.(key)", OLD_SERVICES, Side.SERVICES)}
    assert breaking(contract(dict[int, int]), contract(dict[str, int])) == {
        ("request.(key)", OLD_WORKERS, Side.WORKERS)
    }
    (found,) = diff(contract(few), contract(many))
    assert 'may be "l"; accepted are "m", "s"' in found.sentence


def test_a_type_of_another_shape_breaks_both_sides() -> None:
    """Neither order helps, and one member is enough for that."""
    found = breaking(contract(), contract(list[Order]))
    assert found == {("request", OLD_WORKERS, Side.NEITHER), ("request", NEW_WORKERS, Side.NEITHER)}


def test_task_types_come_and_go() -> None:
    """A new one waits for its workers; one that is gone breaks the services that still send it."""
    nothing = Contract((), Topics())
    assert [each.severity for each in diff(nothing, contract())] == [ChangeSeverity.NOTE]
    assert breaking(contract(), nothing) == {("", OLD_SERVICES, Side.SERVICES)}


@pytest.mark.parametrize(
    ("more", "member"),
    [
        ({"topic": "kitchen"}, "topic"),
        ({"results_topic": "kallback.kitchen-results"}, "results"),
        ({"convention": Convention.FASTSTREAM}, "convention"),
        ({"heartbeat_every": timedelta(seconds=5)}, "heartbeat_every"),
        ({"start_timeout": timedelta(seconds=5)}, "start_timeout"),
    ],
)
def test_what_workers_have_to_do_besides_breaks_old_ones(more: dict[str, Any], member: str) -> None:
    """Another topic to read, other headers, or signs of life."""
    assert breaking(contract(), contract(**more)) == {(member, OLD_WORKERS, Side.WORKERS)}


def test_another_timeout_is_a_note() -> None:
    """It is in the headers of each task."""
    found = diff(contract(), contract(timeout=timedelta(minutes=5)))
    assert found == [ContractFinding(ChangeSeverity.NOTE, "prepare", "timeout", "", "timeout was 3600 s and is 300 s")]


@pytest.mark.parametrize(
    "document",
    [
        None,
        [],
        "text",
        {"asyncapi": "3.0.0"},
        {"x-kallback-contract": 2},
        {"x-kallback-contract": 1},
        {"x-kallback-contract": 1, "operations": {"a": {"reply": {}}}},
        {"x-kallback-contract": 1, "operations": {"a": {"reply": {}, "messages": [{"$ref": "#/operations/b"}]}}},
        {"x-kallback-contract": 1, "operations": {"$ref": "#/operations"}},
    ],
)
def test_a_document_that_is_no_contract_is_a_sentence(document: object) -> None:
    """Never a traceback: the file may be anything."""
    with pytest.raises(ConfigurationError, match=r"contract\.yaml"):
        read_contract(document, "contract.yaml")
