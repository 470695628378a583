"""A contract is a document of AsyncAPI 3 that says what the wire really carries."""

from __future__ import annotations

import importlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import pytest
from tests.unit.contracts.kitchen import VALUES, Circle, Dish, Mixed, Page, Point, Square

from kallback.contracts import asyncapi_of, contract_of, schema_files_of
from kallback.contracts.contract import TypeContract
from kallback.contracts.headers import CANCEL, PROBLEM, failure_headers, progress_headers, result_headers, task_headers
from kallback.protocol import (
    Attempt,
    Cancel,
    CancelReason,
    ConfigurationError,
    Problem,
    TaskHeaders,
    TaskId,
    TaskType,
    completed_headers,
    failed_headers,
)
from kallback.protocol import (
    progress_headers as sent_progress_headers,
)
from kallback.protocol.frameworks.conventions import Convention
from kallback.protocol.long_tasks.progress import Signal
from kallback.settings import Topics

jsonschema: Any = importlib.import_module("jsonschema")  # it brings no types
ASYNCAPI: Final = json.loads(Path(__file__).with_name("asyncapi-3.0.0.json").read_text(encoding="utf-8"))
"""The standard's own schema; asyncapi.md says where it comes from."""
TASK_ID: Final = TaskId("AAECAwQFBgcICQoL")


def task_types() -> list[TaskType[Any, Any]]:
    """One for each declared type, and one for each convention and limit."""
    kinds = [TaskType(f"kind.{index}", declared, declared) for index, (declared, _) in enumerate(VALUES)]
    frameworks = [TaskType(f"for.{each}", Dish, Page[Dish], convention=each) for each in Convention]
    long = TaskType(
        "long", Mixed, Circle | Square, heartbeat_every=timedelta(seconds=5), start_timeout=timedelta(minutes=1)
    )
    return [*kinds, *frameworks, long, TaskType("endless", Point, None, timeout=None, topic="kind.0")]


def document(types: Sequence[TaskType[Any, Any]] = ()) -> dict[str, Any]:
    """The contract of some task types, by default all of them, as a file has it."""
    made = asyncapi_of(contract_of(types or task_types(), Topics()), "kitchen", "1.0.0")
    read: dict[str, Any] = json.loads(json.dumps(made))
    return read


def test_a_contract_is_valid_by_the_schema_of_the_standard() -> None:
    """Of AsyncAPI 3.0.0, its Kafka bindings included."""
    validator = jsonschema.Draft7Validator(ASYNCAPI)
    assert [f"{list(each.path)}: {each.message}" for each in validator.iter_errors(document())] == []


def test_the_schema_of_the_standard_refuses_what_is_none() -> None:
    """The check above can fail."""
    spoiled = document()
    spoiled["operations"]["long"]["action"] = "answer"
    assert not jsonschema.Draft7Validator(ASYNCAPI).is_valid(spoiled)


def test_each_reference_leads_somewhere() -> None:
    """To a part of the same document."""
    whole = document()

    def look(part: Any) -> None:
        for name, value in part.items() if isinstance(part, dict) else enumerate(part):
            if name == "$ref" and isinstance(value, str):
                found = whole
                for step in value.removeprefix("#/").split("/"):
                    found = found[step]
            elif isinstance(value, (dict, list)):
                look(value)

    look(whole)


def test_an_operation_says_where_a_task_comes_from_and_where_its_reply_goes() -> None:
    """The reply's address is a header of the task; the token correlates the two."""
    whole = document()
    operation = whole["operations"]["long"]
    assert operation["action"] == "receive"
    assert operation["channel"] == {"$ref": "#/channels/long"}
    assert operation["reply"]["address"] == {"location": "$message.header#/kallback-reply-to"}
    assert operation["reply"]["channel"] == {"$ref": "#/channels/kallback.results"}
    assert whole["channels"]["kallback.results"]["bindings"]["kafka"]["topic"] == "kallback.results"
    assert whole["components"]["correlationIds"]["token"]["location"] == "$message.header#/kallback-token"


def test_the_order_of_the_types_does_not_matter() -> None:
    """A contract changes only if a type does."""
    forward, backward = (contract_of(each, Topics()) for each in (task_types(), reversed(task_types())))
    assert json.dumps(asyncapi_of(forward, "t", "1")) == json.dumps(asyncapi_of(backward, "t", "1"))


def test_each_file_of_schemas_is_a_schema() -> None:
    """Of draft 2020-12, by its own schema."""
    files = schema_files_of(contract_of(task_types(), Topics()))
    assert {"long.request.json", "long.result.json", "problem.json", "progress-details.json", "cancel.json"} <= set(
        files
    )
    for schema in files.values():
        assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
        jsonschema.Draft202012Validator.check_schema(schema)


def test_two_types_of_one_name_are_refused() -> None:
    """Which of them is the contract, nobody can tell."""
    with pytest.raises(ConfigurationError, match="two task types 'a'"):
        contract_of([TaskType("a", Dish, None), TaskType("a", Page[Dish], None)], Topics())


@dataclass
class request:  # noqa: N801 - the name of the schema under test
    """A part of a request."""

    dish: str


@dataclass
class Several:
    """A request whose part refers to itself by its name."""

    parts: list[request]


def test_two_schemas_of_one_name_are_refused() -> None:
    """The part of one request is named as the whole of the other."""
    both = contract_of([TaskType("a", Several, None), TaskType("a.request", Dish, None)], Topics())
    with pytest.raises(ConfigurationError, match=r"the name a\.request\.request: rename a class or a task type"):
        asyncapi_of(both, "Both", "1.0.0")


def test_a_type_with_a_name_of_the_documents_own_is_refused() -> None:
    """One of the two operations would be lost."""
    with pytest.raises(ConfigurationError, match=r"'kallback\.cancel' has a name"):
        contract_of([TaskType("kallback.cancel", Dish, None)], Topics())


def type_contracts() -> list[TypeContract]:
    """As in the document."""
    return list(contract_of(task_types(), Topics()).types)


def as_object(headers: tuple[tuple[str, bytes], ...]) -> dict[str, str]:
    """Headers as the schemas see them."""
    return {name: value.decode() for name, value in headers}


def valid(schema: dict[str, Any], value: Any) -> list[str]:
    """What of a value does not fit."""
    return [each.message for each in jsonschema.Draft7Validator(schema).iter_errors(value)]


@pytest.mark.parametrize("contract", type_contracts(), ids=lambda each: each.name)
def test_the_headers_of_each_task_fit_the_contract(contract: TypeContract) -> None:
    """Those that the sdk writes: the fewest, and all of them."""
    few = TaskHeaders("kb1:x", TASK_ID, Attempt(1), contract.name, contract.results, convention=contract.convention)
    few = replace(
        few,
        progress_to="kallback.progress" if contract.monitored else None,
        heartbeat_every_ms=5000 if "heartbeat_every" in contract.seconds else None,
        start_by_ms=1_767_225_600_000 if "start_timeout" in contract.seconds else None,
    )
    more = replace(
        few,
        deadline_ms=1_767_225_600_000,
        traceparent="00-0-0-00",
        tracestate="a=b",
        last_details=b"{}",
        cancel_hash="h" * 43,
        hand_back=True,
        retry_lost=True,
    )
    schema = task_headers(contract)
    assert [valid(schema, as_object(each.encode())) for each in (few, more)] == [[], []]
    assert set(as_object(more.encode())) <= set(schema["properties"])


@pytest.mark.parametrize("contract", type_contracts(), ids=lambda each: each.name)
def test_the_headers_of_results_fit_the_contract(contract: TypeContract) -> None:
    """Those that the kit writes; a result without a token fits none."""
    assert valid(result_headers(contract), as_object(completed_headers("kb1:x"))) == []
    assert valid(failure_headers(contract), as_object(failed_headers("kb1:x"))) == []
    assert valid(result_headers(contract), {"kallback-status": "completed"})
    assert valid(failure_headers(contract), {"kallback-token": "kb1:x"})


def test_a_nestjs_worker_fails_in_its_own_way() -> None:
    """With its correlation id and its error header, and none of ours."""
    nestjs = next(each for each in type_contracts() if each.convention is Convention.NESTJS)
    assert valid(failure_headers(nestjs), {"kafka_correlationId": "kb1:x", "kafka_nest-err": "boom"}) == []


def test_what_all_types_share_fits_the_contract() -> None:
    """Problems, cancels and progress as kallback writes them."""
    problem = Problem("OutOfStock", 422, "no basil", "gone", retryable=False, retry_after=1.5, extensions={"more": 1})
    assert valid(PROBLEM, json.loads(problem.encode())) == []
    for reason in CancelReason:
        for attempt in (None, Attempt(2)):
            cancel = Cancel(TASK_ID, reason, 1_767_225_600_000, attempt, "s" * 43)
            assert valid(CANCEL, json.loads(cancel.encode())) == []
    sent = sent_progress_headers("kb1:x", Signal.HEARTBEAT, 1_767_225_600_000, 5000, "0-5")
    assert valid(progress_headers(), as_object(sent)) == []
