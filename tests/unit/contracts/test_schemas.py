"""The schema of a type describes what its codec writes, and what it reads."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from dataclasses import make_dataclass
from typing import Annotated, Any

import pydantic
import pytest
from tests.unit.contracts.kitchen import READ_ONLY, VALUES, Dish, Model

from kallback.contracts.contract import payload_of
from kallback.contracts.schemas import Direction, schema_of
from kallback.protocol.errors import ConfigurationError
from kallback.protocol.values.codecs import Codec

validators: Any = importlib.import_module("jsonschema").Draft202012Validator  # it brings no types
BOTH = (Direction.WRITTEN, Direction.READ)


def accepts(declared: Any, direction: Direction, data: bytes) -> bool:
    """Whether a schema, which must be one, accepts JSON."""
    schema = schema_of(declared, direction, "the request")
    validators.check_schema(schema)
    return bool(validators(schema).is_valid(json.loads(data)))


@pytest.mark.parametrize(("declared", "values"), VALUES)
def test_what_is_written_fits_both_schemas(declared: Any, values: list[Any]) -> None:
    """A value as the codec writes it is valid for writers and for readers."""
    for value in values:
        data = Codec(declared).encode(value)
        assert all(accepts(declared, direction, data) for direction in BOTH)


@pytest.mark.parametrize(("declared", "data"), READ_ONLY)
def test_what_is_read_fits_the_schema_of_readers_alone(declared: Any, data: bytes) -> None:
    """Readers do without members that have a default; writers always write them."""
    Codec(declared).decode(data)
    assert accepts(declared, Direction.READ, data)


def test_each_member_that_is_always_written_is_required_of_writers() -> None:
    """With a default or without; those that may be left out are not."""
    written, read = (schema_of(Dish, direction, "")["$defs"]["Dish"]["required"] for direction in BOTH)
    assert (written, read) == (["count", "name", "tags"], ["name"])


def test_a_schema_is_the_same_in_each_process() -> None:
    """Sets have another order in each process, and a contract is compared line by line."""
    code = (
        "from tests.unit.contracts.kitchen import Mixed; from kallback.contracts.schemas import *;"
        "print(schema_of(Mixed, Direction.READ, ''))"
    )
    texts = {
        subprocess.check_output([sys.executable, "-c", code], env={**os.environ, "PYTHONHASHSEED": seed})
        for seed in ("1", "2")
    }
    assert len(texts) == 1


class Own:
    """A class that says nothing about JSON."""


class WithOwn(pydantic.BaseModel):
    """Code of the user's reads and writes one member."""

    model_config = pydantic.ConfigDict(arbitrary_types_allowed=True)
    fine: int
    own: Annotated[Own, pydantic.PlainValidator(lambda _: Own()), pydantic.PlainSerializer(lambda _: "x")]


class WithBadExtra(pydantic.BaseModel):
    """Adds to its schema what JSON cannot carry."""

    model_config = pydantic.ConfigDict(json_schema_extra={"examples": [{1, 2}]})  # type: ignore[list-item]


@pytest.mark.parametrize(
    ("declared", "said"),
    [
        (WithOwn, "WithOwn.own: pydantic knows none for it"),
        (list[WithOwn], "WithOwn.own: pydantic knows none for it"),
        (WithBadExtra, "the request has a JSON Schema that JSON cannot carry"),
    ],
)
def test_a_type_without_a_schema_is_a_sentence_that_names_the_member(declared: Any, said: str) -> None:
    """Not a traceback of a library, and no address in memory."""
    with pytest.raises(ConfigurationError) as raised:
        payload_of(declared, "the request")
    assert said in str(raised.value)


class Nested(pydantic.BaseModel):
    """Has a class of the same name as another one."""

    class Dish(pydantic.BaseModel):
        """Not the dataclass."""

        grams: int

    dish: Dish


def test_two_classes_of_one_name_have_two_definitions() -> None:
    """A dataclass and a model called `Dish` in one type are not mixed up."""
    schema = schema_of(tuple[Dish, Nested.Dish, Model], Direction.WRITTEN, "")
    assert set(schema["$defs"]) >= {"Dish", "Dish.2"}
    assert set(schema["$defs"]["Dish.2"]["properties"]) == {"grams"}


def test_two_classes_of_one_module_and_name_are_a_sentence() -> None:
    """A function that makes classes may make two of them; a traceback of msgspec would name neither."""
    first, second = (make_dataclass("Made", [("member", each)]) for each in (int, str))
    with pytest.raises(
        ConfigurationError, match=r"two classes of the same module and name .*Made.*: rename one of them"
    ):
        payload_of(tuple[first, second], "the request")  # type: ignore[valid-type]  # pyright: ignore[reportInvalidTypeForm]
