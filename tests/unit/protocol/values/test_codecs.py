import asyncio
import datetime as dt
import inspect
import json
import math
import sys
from collections.abc import Callable
from dataclasses import dataclass
from types import NoneType
from typing import Any, ClassVar, NotRequired, TypedDict

import msgspec
import pydantic
import pytest
import typing_extensions
from hypothesis import given, settings
from hypothesis import strategies as st

from kallback.protocol import Codec, DecodeError, EncodeError, check_json
from kallback.protocol.values.codecs import MAX_NESTING, parse_object


@dataclass
class Item:
    """A dataclass."""

    name: str
    quantity: int = 1


class Order(msgspec.Struct):
    """A msgspec struct."""

    id: str
    items: list[Item]


class Address(TypedDict):
    """A typed dict."""

    street: str
    floor: NotRequired[int]


class Parcel(typing_extensions.TypedDict):
    """A typed dict as pydantic asks for it below Python 3.12."""

    weight: int


class Prepared(pydantic.BaseModel):
    """A pydantic model with an alias and a rule."""

    minutes: int = pydantic.Field(alias="mins", ge=0)
    at: dt.datetime | None = None


@dataclass
class Reading:
    """A dataclass with numbers that may be missing."""

    room: str | None
    degrees: float | None


class Measured(pydantic.BaseModel):
    """The same in pydantic."""

    degrees: float | None


class Safe(str):
    """What template engines return."""

    __slots__ = ()

    def __str__(self) -> str:
        """Escape."""
        return "escaped"


class Number(int):
    """A number of an application's own."""


class Ratio(float):
    """A fraction of an application's own."""


@dataclass
class Batch:
    """Pydantic models inside a dataclass."""

    prepared: list[Prepared]


@dataclass
class Strict:
    """A dataclass whose own check raises what it likes."""

    size: int

    def __post_init__(self) -> None:
        if self.size < 0:
            raise ArithmeticError


class PanicError(BaseException):
    """As an extension written in Rust raises: no `Exception`."""


class SilentError(Exception):
    """An error that fails at its own text."""

    def __str__(self) -> str:
        """Fail."""
        raise PanicError


@dataclass
class Picky:
    """A dataclass whose own check raises what the test says, where its size is 1."""

    raises: ClassVar[BaseException]
    size: int

    def __post_init__(self) -> None:
        if self.size == 1:
            raise self.raises


class PickyModel(pydantic.BaseModel):
    """A model that raises it where it is written."""

    size: int

    @pydantic.field_serializer("size")
    def written(self, _size: int) -> int:
        """Fail."""
        raise Picky.raises


class Opaque:
    """A class without a JSON form."""


@dataclass
class Tree:
    """Holds itself."""

    kids: "list[Tree]"


def encode(value: Any, declared: Any) -> bytes:
    """Encode as a caller without a type checker may."""
    return Codec[Any](declared).encode(value)


texts = st.text(st.characters(codec="utf-8"))
items = st.builds(Item, texts, st.integers(-(10**30), 10**30))
floats = st.floats(allow_nan=False, allow_infinity=False)
CASES: list[tuple[Any, st.SearchStrategy[Any]]] = [
    (Item, items),
    (Order, st.builds(Order, texts, st.lists(items))),
    (Address, st.fixed_dictionaries({"street": texts}, optional={"floor": st.integers()})),
    (Parcel, st.fixed_dictionaries({"weight": st.integers()})),
    (Prepared, st.builds(Prepared, mins=st.integers(0, 2**60), at=st.none() | st.datetimes(timezones=st.just(dt.UTC)))),
    (Batch, st.builds(Batch, st.lists(st.builds(Prepared, mins=st.integers(0, 2**60))))),
    (list[Prepared], st.lists(st.builds(Prepared, mins=st.integers(0, 2**60)))),
    (list[Item], st.lists(items)),
    (dict[str, float], st.dictionaries(texts, floats)),
    (str | None, st.none() | texts),
    (bool, st.booleans()),
    (int, st.integers(-(10**300), 10**300)),
    (float, floats),
    (bytes, st.binary()),
    (NoneType, st.none()),
    (Any, st.recursive(st.none() | texts | st.integers(), st.lists)),
]


@pytest.mark.parametrize(("declared", "values"), CASES, ids=[str(declared) for declared, _ in CASES])
@settings(max_examples=50)
@given(data=st.data())
def test_a_value_survives_the_wire(declared: Any, values: st.SearchStrategy[Any], data: st.DataObject) -> None:
    """What is encoded is JSON, and is what is decoded, for every kind of type."""
    value = data.draw(values)
    encoded = encode(value, declared)
    assert check_json(encoded) is encoded
    assert Codec[Any](declared).decode(encoded) == value


@pytest.mark.parametrize(
    ("value", "declared"),
    [
        ({"id": "o-1"}, Order),
        (1, str),
        ("1", int),
        (None, Item),
        (1, None),
        ([], Address),
        ([], Parcel),
        (1.5, int),
        (1, Prepared),
    ],
)
def test_a_value_of_another_type_is_not_sent(value: object, declared: Any) -> None:
    """The mistake shows where it is made, not at the worker."""
    with pytest.raises(EncodeError, match=r"expected .*, got .*: pass a value of the declared type"):
        encode(value, declared)


def test_a_whole_number_may_stand_for_a_float() -> None:
    """As type checkers see it."""
    assert encode(1, float) == b"1"


def test_a_pydantic_model_travels_under_its_aliases() -> None:
    """Alone and inside another type alike."""
    assert encode(Prepared(mins=3), Prepared) == b'{"mins":3,"at":null}'
    assert encode([Prepared(mins=3)], list[Prepared]) == b'[{"mins":3,"at":null}]'


@pytest.mark.parametrize(
    ("value", "declared"),
    [(Opaque(), Any), ([Opaque()], list[Any]), ("\ud800", str), ({"a": {1: object()}}, dict[str, Any])],
)
def test_a_part_without_a_json_form_is_an_encode_error(value: object, declared: Any) -> None:
    """Nothing half-encoded leaves the house."""
    with pytest.raises(EncodeError, match="cannot encode"):
        encode(value, declared)


@pytest.mark.parametrize(
    ("value", "declared", "place"),
    [
        (Opaque(), Any, "$"),
        ({"a": [1, {"b": Opaque()}]}, Any, "$.a[1].b"),
        (Item("tea", Opaque()), Any, "$.quantity"),  # type: ignore[arg-type] # wrong on purpose
        (Order("1", [Item("\ud800")]), Order, "$.items[0].name"),
        ([b"", ("x", {Opaque()})], list[Any], "$[1][1][0]"),
        ({"a": {object(): 1}}, Any, "$.a"),
    ],
)
def test_the_error_names_the_part_that_cannot_be_written(value: Any, declared: Any, place: str) -> None:
    """In a large value, the type alone does not tell where to look."""
    with pytest.raises(EncodeError) as refused:
        encode(value, declared)
    assert f"at `{place}`" in str(refused.value)


@pytest.mark.parametrize(("opening", "closing"), [(b"[", b"]"), (b'{"a":', b"}"), (b'[{"a":1},', b"]")])
def test_json_is_nested_500_deep_at_most(opening: bytes, closing: bytes) -> None:
    """What the bridge lets through, the waiting handler can read."""
    deepest = opening * 499 + b"[0]" + closing * 499
    assert check_json(deepest) == deepest
    with pytest.raises(DecodeError, match="nested deeper than 500"):
        check_json(opening + deepest + closing)


DEEPEST = b"[" * MAX_NESTING + b"]" * MAX_NESTING


def deep_in_the_stack(work: Callable[[], Any]) -> Any:
    """Call it where only a hundred levels of the stack are left."""
    used = 0
    frame = inspect.currentframe()
    while frame is not None:
        used, frame = used + 1, frame.f_back

    def down(levels: int) -> Any:
        return work() if levels == 0 else down(levels - 1)

    return down(sys.getrecursionlimit() - used - 100)


def test_the_deepest_json_is_written_and_read_deep_in_a_stack() -> None:
    """The protocol limits the nesting, and not how deep the caller is."""
    value = deep_in_the_stack(lambda: Codec[Any](Any).decode(DEEPEST))

    assert deep_in_the_stack(lambda: encode(value, Any)) == DEEPEST
    assert deep_in_the_stack(lambda: parse_object(b'{"a":' * 499 + b"{}" + b"}" * 499))


@pytest.mark.parametrize("depth", [MAX_NESTING + 1, 1_000, 2_000, 100_000])
def test_deeper_json_is_the_same_error_for_each_reader_and_writer(depth: int) -> None:
    """One sentence, whatever the interpreter allows."""
    data = b"[" * depth + b"]" * depth
    value: list[Any] = []
    for _ in range(depth - 1):
        value = [value]
    with pytest.raises(DecodeError, match="JSON nested deeper than 500"):
        check_json(data)
    with pytest.raises(DecodeError, match="JSON nested deeper than 500"):
        Codec[Any](Any).decode(data)
    with pytest.raises(EncodeError, match="JSON nested deeper than 500"):
        encode(value, Any)


def test_many_brackets_side_by_side_are_no_nesting() -> None:
    """A long list of objects is as good as any other value."""
    flat = b"[" + b",".join([b'{"a":[1]}'] * 2_000) + b"]"
    assert check_json(flat) == flat


def test_object_means_any_json() -> None:
    """`object` and `Any` are the same promise: whatever JSON comes."""
    assert Codec(object).decode(b'{"a":[1,null]}') == {"a": [1, None]}


def test_a_type_that_holds_itself_is_fine() -> None:
    """Trees are looked through once."""
    tree = Codec(Tree).decode(b'{"kids":[{"kids":[]}]}')
    assert tree == Tree([Tree([])])


def test_a_value_that_contains_itself_is_an_encode_error() -> None:
    """An endless value has no bytes."""
    endless: list[Any] = []
    endless.append(endless)
    with pytest.raises(EncodeError):
        encode(endless, list[Any])


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize(
    ("declared", "wrap", "place"),
    [
        (float, lambda value: value, "$"),
        (float | None, lambda value: value, "$"),
        (Any, lambda value: {"a": [1.0, value], "b": None}, "$.a[1]"),
        (Reading, lambda value: Reading(None, value), "$.degrees"),
        (list[Reading], lambda value: [Reading(None, 1.0), Reading(None, value)], "$[1].degrees"),
        (Measured, lambda value: Measured(degrees=value), "$.degrees"),
        (list[Measured], lambda value: [Measured(degrees=value)], "$[0].degrees"),
    ],
)
def test_numbers_that_json_has_not_are_refused(value: float, declared: Any, wrap: Any, place: str) -> None:
    """They would arrive as null, which the reader takes for an answer; the error names the place."""
    with pytest.raises(EncodeError) as refused:
        encode(wrap(value), declared)
    assert f"`{place}`" in str(refused.value)


def test_null_is_no_nan() -> None:
    """A value with null members is looked through and sent."""
    assert encode(Reading(None, 1.5), Reading) == b'{"room":null,"degrees":1.5}'


@pytest.mark.parametrize(
    ("data", "declared", "part"),
    [(b'{"id":"o-1","items":[{"name":7}]}', Order, r"\$\.items\[0\]\.name"), (b'{"floor":1}', Address, "street"),
     (b'{"mins":-1}', Prepared, "mins"), (b'[{"mins":-1}]', list[Prepared], "mins"), (b'"1"', int, "int"),
     (b'{"size":-1}', Strict, "ArithmeticError"), (b"1", NoneType, "null")],
)  # fmt: skip
def test_bytes_that_do_not_fit_name_the_part(data: bytes, declared: Any, part: str) -> None:
    """The error says what does not fit, the user's own validators included."""
    with pytest.raises(DecodeError, match=part):
        Codec[Any](declared).decode(data)


def test_a_decode_error_is_one_line() -> None:
    """Long reports of validators are folded: the sentence ends in a problem's detail."""
    with pytest.raises(DecodeError) as caught:
        Codec(Prepared).decode(b'{"mins":"x","at":"y"}')
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("data", [b"null", b' {"a":[1.10,true]} ', b'"\xf0\x9f\xa7\x80"', b"9" * 300])
def test_json_is_passed_through(data: bytes) -> None:
    """Checking changes nothing."""
    assert check_json(data) is data


@pytest.mark.parametrize("data", [b"", b" ", b"NaN", b"[1,]", b"{} {}", b"'a'", b"\xff", b'"\\ud800"', b"01", b"1e999"])
def test_what_is_no_json_is_refused(data: bytes) -> None:
    """The error says where."""
    with pytest.raises(DecodeError, match=r"not JSON: .* at character"):
        check_json(data)


@pytest.mark.parametrize(
    ("value", "declared", "sent"),
    [
        (Safe("<b>"), str, b'"<b>"'),
        (Number(7), int, b"7"),
        (Ratio(0.5), float, b"0.5"),
        ([Safe("a")], list[str], b'["a"]'),
        ({"a": Number(7)}, dict[str, int], b'{"a":7}'),
        ({Safe("k"): 1}, dict[str, int], b'{"k":1}'),
        (Item(Safe("tea"), Number(2)), Item, b'{"name":"tea","quantity":2}'),
    ],
)
def test_subclasses_of_scalars_travel_as_what_they_are(value: Any, declared: Any, sent: bytes) -> None:
    """Safe strings of template engines, numbers of units libraries: the plain value is sent."""
    assert encode(value, declared) == sent


@pytest.mark.parametrize(
    ("value", "declared", "member"),
    [
        (Item(5), Item, "$.name"),  # type: ignore[arg-type] # wrong on purpose
        (Order("1", [Item("tea", "two")]), Order, "$.items[0].quantity"),  # type: ignore[arg-type] # wrong on purpose
        ({"street": 5}, Address, "$.street"),
        ([1, "2"], list[int], "$[1]"),
        (Batch([Prepared.model_construct(minutes=-1)]), Batch, "greater than or equal to 0"),
        (Prepared.model_construct(minutes="soon"), Prepared, "minutes"),
    ],
)
def test_a_member_of_the_wrong_type_is_refused_before_it_is_sent(value: Any, declared: Any, member: str) -> None:
    """The side that made the value learns of it, not the handler that waits for it."""
    with pytest.raises(EncodeError) as refused:
        encode(value, declared)
    assert member in str(refused.value)


@pytest.mark.parametrize(
    "value",
    [
        pytest.param(10**400, id="beyond a double"),
        pytest.param(json.loads("[" * (MAX_NESTING + 1) + "]" * (MAX_NESTING + 1)), id="too deep"),
    ],
)
def test_what_the_bridge_refuses_is_not_sent(value: Any) -> None:
    """A result that can be written but not verified would only end as a dead letter."""
    with pytest.raises(EncodeError):
        encode(value, Any)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (PanicError("at entropy.rs:7"), "at entropy.rs:7"),
        (asyncio.CancelledError(), "CancelledError"),
        (SystemExit(3), "3"),
        (SilentError(), "SilentError"),
    ],
)
def test_whatever_the_users_code_raises_is_an_error_of_the_value(error: BaseException, said: str) -> None:
    """A panic, or an error without a text, must not end what reads or writes: one value would stop all."""
    Picky.raises = error
    read_back = Picky(0)
    read_back.size = 1
    with pytest.raises(DecodeError, match=said):
        Codec(Picky).decode(b'{"size":1}')
    with pytest.raises(EncodeError, match=f"cannot be read back.*{said}"):
        encode(read_back, Picky)
    with pytest.raises(EncodeError, match=f"cannot encode.*{said}"):
        encode(PickyModel(size=1), PickyModel)


def test_ctrl_c_is_no_error_of_the_value() -> None:
    """It ends the program, as always."""
    Picky.raises = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        Codec(Picky).decode(b'{"size":1}')
