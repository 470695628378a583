"""A worker's functions against a contract."""

from __future__ import annotations

from typing import Any

from tests.unit.contracts.test_diff import Order, OrderWithLooseId, OrderWithSeat, OrderWithTable, contract

from kallback.contracts import ChangeSeverity, check_worker
from kallback.protocol import TaskType


def found(*task_types: TaskType[Any, Any]) -> list[tuple[ChangeSeverity, str, str]]:
    """What of a worker does not fit the contract of `prepare`, from Order to Order."""
    return [(each.severity, each.task_type, each.member) for each in check_worker(contract(), task_types, "kitchen")]


def test_a_worker_with_the_types_of_the_contract_fits() -> None:
    """Also with types of its own that read more, or write more."""
    assert found(TaskType("prepare", Order, Order)) == []
    assert found(TaskType("prepare", OrderWithLooseId, Order)) == []
    notes = found(TaskType("prepare", OrderWithSeat, OrderWithSeat))
    assert [each[0] for each in notes] == [ChangeSeverity.NOTE]


def test_a_function_that_is_missing_is_named() -> None:
    """And one that the contract does not name is a note."""
    assert found(TaskType("other", Order, Order)) == [
        (ChangeSeverity.BREAKING, "prepare", ""),
        (ChangeSeverity.NOTE, "other", ""),
    ]


def test_a_missing_function_may_be_that_of_a_type_of_awakeables() -> None:
    """People answer those, so the sentence says how to leave the type out."""
    [finding] = check_worker(contract(), [], "kitchen")
    assert "a type of awakeables needs no worker, so export without it (MODULE:NAME,...)" in finding.sentence


def test_a_member_that_does_not_fit_is_named() -> None:
    """What the worker needs and the contract does not promise, and what it writes and the contract does not allow."""
    assert found(TaskType("prepare", OrderWithTable, OrderWithLooseId)) == [
        (ChangeSeverity.BREAKING, "prepare", "request.table"),
        (ChangeSeverity.BREAKING, "prepare", "result.id"),
    ]


def test_a_worker_that_reads_another_topic_is_told() -> None:
    """No task would reach it."""
    assert found(TaskType("prepare", Order, Order, topic="kitchen")) == [(ChangeSeverity.BREAKING, "prepare", "topic")]
