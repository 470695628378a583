"""Whether readers accept what writers write: the member that does not fit, and no other."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from types import ModuleType
from typing import Annotated, Any, Final, Literal, NamedTuple

import msgspec
import pydantic
import pytest
from tests.unit.contracts.kitchen import VALUES, Circle, Dish, Hints, Model, Page, Point, Shelf, Sparse, Square

from kallback.contracts.contract import payload_of
from kallback.contracts.fits import Located, misfits
from kallback.protocol.errors import ConfigurationError, DecodeError
from kallback.protocol.values.codecs import Codec


def found(written: Any, read: Any) -> list[str]:
    """The members that a reader of one type refuses from writers of the other."""
    payloads = payload_of(written, "the writer's type"), payload_of(read, "the reader's type")
    return [each.member for each in misfits(payloads[0].written, payloads[1].read) if each.refused]


Aware = Annotated[datetime, msgspec.Meta(tz=True)]
Naive = Annotated[datetime, msgspec.Meta(tz=False)]
Listed = Literal["a", None]  # noqa: PYI061 - one list of values, as a user may write it
AtLeastOne = Annotated[int, msgspec.Meta(ge=1)]


class Zones(pydantic.BaseModel):
    """Times that must have a zone, and that must not."""

    begin: pydantic.AwareDatetime
    end: pydantic.NaiveDatetime


class OtherZones(pydantic.BaseModel):
    """The other way round."""

    begin: pydantic.NaiveDatetime
    end: pydantic.AwareDatetime


class CountedByModel(pydantic.BaseModel):
    """A bound of numbers that are keys."""

    counts: dict[pydantic.NonNegativeInt, int]


class Charged(pydantic.BaseModel):
    """A decimal number."""

    price: Decimal


class ChargedInWords(pydantic.BaseModel):
    """Any text."""

    price: str


class ChargedExactly(msgspec.Struct):
    """A decimal number of msgspec."""

    price: Decimal


class Row(NamedTuple):
    """Members without names in JSON."""

    at: datetime
    counts: dict[int, int]


class RowByName(NamedTuple):
    """Any text in the same places."""

    at: str
    counts: dict[str, int]


class TaggedRow(msgspec.Struct, array_like=True, tag="row"):
    """A tag stands before them."""

    counts: dict[int, int]


class RowByNameTagged(msgspec.Struct, array_like=True, tag="row"):
    """As above."""

    counts: dict[str, int]


@dataclass
class DishWithPrice:
    """One member more, which readers need."""

    name: str
    price: Decimal
    count: int = 1


@dataclass
class DishWithNote:
    """One member more, which readers do without."""

    name: str
    note: str = ""


@dataclass
class Renamed:
    """Another name for a member."""

    title: str


class Triangle(msgspec.Struct, tag="triangle"):
    """A third shape."""

    height: float


class Priced(pydantic.BaseModel):
    """A map in a model."""

    prices: dict[int, int]


class PricedByName(pydantic.BaseModel):
    """The same with keys of a pattern."""

    prices: dict[Annotated[str, pydantic.Field(pattern="^[a-z]+$")], int]


class PricedByShelf(pydantic.BaseModel):
    """The same with keys of an enum."""

    prices: dict[Literal[1, 2], int]


Short = Annotated[str, msgspec.Meta(max_length=3)]
Positive = Annotated[int, msgspec.Meta(gt=0)]
NotNegative = Annotated[int, msgspec.Meta(ge=0)]


@pytest.mark.parametrize("declared", [declared for declared, _ in VALUES])
def test_each_type_reads_what_it_writes(declared: Any) -> None:
    """No type is at odds with itself."""
    assert found(declared, declared) == []


PAIRS: list[tuple[Any, Any, list[str]]] = [
    (Dish, DishWithPrice, ["$.price"]),
    (DishWithPrice, Dish, []),
    (Dish, DishWithNote, []),
    (DishWithNote, Dish, []),
    (Dish, Renamed, ["$.title"]),
    (list[Dish], list[DishWithPrice], ["$[].price"]),
    (dict[str, Dish], dict[str, DishWithPrice], ["$.*.price"]),
    (Page[Dish], Page[DishWithPrice], ["$.items[].price"]),
    (Dish, Dish | None, []),
    (Dish | None, Dish, ["$"]),
    (int, float, []),
    (float, int, ["$"]),
    (int, int | str, []),
    (int | str, int, ["$"]),
    (Literal["a"], Literal["a", "b"], []),
    (Literal["a", "b"], Literal["a"], ["$"]),
    (str, Literal["a"], ["$"]),
    (Literal["a"], str, []),
    (Any, int, ["$"]),
    (int, Any, []),
    (datetime, str, []),
    (str, datetime, ["$"]),
    (bytes, str, []),
    (str, bytes, ["$"]),
    (Decimal, float, ["$"]),
    (Short, str, []),
    (str, Short, ["$"]),
    (Positive, NotNegative, []),
    (NotNegative, Positive, ["$"]),
    (int, Positive, ["$"]),
    (Circle | Square, Circle | Square | Triangle, []),
    (Circle | Square | Triangle, Circle | Square, ["$"]),
    (Circle, Circle | Square, []),
    (Point, tuple[int, int], []),
    (tuple[int, int, int], tuple[int, int], ["$", "$[2]"]),
    (tuple[int, str], list[int], ["$[1]"]),
    (list[int], tuple[int, int], ["$", "$"]),
    (Hints, Hints, []),
    (dict[str, int], Hints, []),
    (dict[str, str], Hints, ["$.seat"]),
    (Dish, Sparse, ["$.count", "$.count", "$.name", "$.tags"]),
    (None, Dish | None, []),
    (Model, Model, []),
    (float, Model, ["$"]),
    (dict[str, int], dict[int, int], ["$.(key)"]),
    (dict[int, int], dict[str, int], []),
    (dict[int, int], dict[float, int], []),
    (dict[float, int], dict[int, int], ["$.(key)"]),
    (dict[int, int], dict[int | datetime, int], []),
    (dict[Shelf, int], dict[str, int], []),
    (dict[str, int], dict[Shelf, int], ["$.(key)"]),
    (dict[Literal["a"], int], dict[Literal["a", "b"], int], []),
    (dict[Literal["a", "b"], int], dict[Literal["a"], int], ["$.(key)"]),
    (dict[Literal["a"], int], dict[int, int], ["$.(key)"]),
    (dict[Literal[1, 2], int], dict[int, int], []),
    (dict[Short, int], dict[str, int], []),
    (dict[str, int], dict[Short, int], ["$.(key)"]),
    (dict[datetime, int], dict[str, int], []),
    (dict[str, int], dict[datetime, int], ["$.(key)"]),
    (dict[str, str], dict[int, int], ["$.*", "$.(key)"]),
    (list[dict[str, int]], list[dict[int, int]], ["$[].(key)"]),
    (Hints, dict[str, int], []),
    (Hints, dict[int, int], ["$.(key)"]),
    (Priced, PricedByName, ["$.prices.(key)"]),
    (PricedByName, Priced, ["$.prices.(key)"]),
    (PricedByShelf, Priced, []),
    (Priced, PricedByShelf, ["$.prices.(key)"]),
    (PricedByName, PricedByName, []),
    (Literal["abcd"], Short, ["$"]),
    (Literal[0, 3], Positive, ["$"]),
    (Literal["a"], datetime, ["$"]),
    (datetime, Aware, ["$"]),
    (Aware, datetime, []),
    (Aware, Naive, ["$"]),
    (Naive, Aware, ["$"]),
    (Zones, Zones, []),
    (Zones, OtherZones, ["$.begin", "$.end"]),
    (dict[int, str], dict[Positive, str], ["$.(key)"]),
    (dict[Positive, str], dict[NotNegative, str], []),
    (dict[NotNegative, str], dict[Positive, str], ["$.(key)"]),
    (CountedByModel, dict[str, dict[NotNegative, int]], []),
    (dict[str, dict[int, int]], CountedByModel, ["$.counts", "$.counts.(key)"]),
    (Charged, Charged, []),
    (Charged, ChargedInWords, []),
    (ChargedInWords, Charged, ["$.price"]),
    (ChargedExactly, Charged, []),
    (Row, Row, []),
    (Row, RowByName, []),
    (RowByName, Row, ["$[0]", "$[1].(key)"]),
    (TaggedRow, RowByNameTagged, []),
    (RowByNameTagged, TaggedRow, ["$[1].(key)"]),
    (None, Listed, []),
    (bool, bool | Literal["a"], []),
    (Listed, str | None, []),
    (Literal["a", 3], str | None, ["$"]),
    (Any, str | Any, []),
    (AtLeastOne, Positive, []),
    (Positive, AtLeastOne, []),
    (date, Annotated[str, msgspec.Meta(min_length=1)], []),
    (date, Annotated[str, msgspec.Meta(min_length=11)], ["$"]),
]


@pytest.mark.parametrize(("written", "read", "members"), PAIRS, ids=map(str, range(len(PAIRS))))
def test_a_pair_of_types_has_these_members_that_do_not_fit(written: Any, read: Any, members: list[str]) -> None:
    """A place is there once for each reason; no place that fits."""
    assert found(written, read) == members


@pytest.mark.parametrize("read", [declared for declared, _ in VALUES])
@pytest.mark.parametrize(("written", "values"), VALUES)
def test_what_fits_is_read_by_the_codec(written: Any, values: list[Any], read: Any) -> None:
    """Whatever one type writes, another one that fits can decode: no misfit is overlooked."""
    for value in [] if found(written, read) else values:
        try:
            Codec(read).decode(Codec(written).encode(value))
        except DecodeError as error:
            pytest.fail(f"{written} fits {read}, but {error}")


def test_a_member_that_a_reader_does_not_know_is_no_refusal() -> None:
    """It is ignored, and named."""
    payloads = payload_of(DishWithPrice, ""), payload_of(Dish, "")
    found = misfits(payloads[0].written, payloads[1].read)
    assert [(each.member, each.refused) for each in found] == [("$.price", False)]


@pytest.mark.parametrize("reference", ["https://example.com/order.json", "#/$defs/absent", "#/$defs/loop"])
def test_a_reference_that_leads_nowhere_is_a_sentence(reference: str) -> None:
    """Out of the document, to nothing, or to itself: nothing is fetched, and the comparison ends."""
    root = {"$ref": reference, "$defs": {"loop": {"$ref": "#/$defs/loop"}}}
    with pytest.raises(ConfigurationError):
        misfits(Located(root, root), Located({"type": "string"}, {}))


NODES: Final = 6


def unions(module: str, more: str) -> Any:
    """The first of several unions whose classes hold all of the unions; `more` is declared in a class of each."""
    names = [f"U{index}" for index in range(NODES)]
    lines = ["import msgspec", "from typing import Union"]
    for name in names:
        for index in range(NODES):
            lines.append(f"class {name}x{index}(msgspec.Struct, tag='{name}x{index}'):")
            lines += [f"    f{each}: '{each}'" for each in names]
            lines += [f"    {more}"] if more and index == 0 else []
    lines += [f"{name} = Union[{', '.join(f'{name}x{index}' for index in range(NODES))}]" for name in names]
    made = ModuleType(module)
    sys.modules[module] = made
    exec("\n".join(lines), vars(made))
    return made.U0


def test_unions_that_hold_each_other_are_compared_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A syntax tree has so many ways through its unions that a comparison of each way does not end."""
    monkeypatch.setattr(sys, "modules", dict(sys.modules))
    plain, more = unions("tree_before", ""), unions("tree_after", "more: int")
    assert found(plain, plain) == []
    members = found(plain, more)
    assert len(members) == NODES
    assert all(each.endswith(".more") for each in members)


def test_references_that_multiply_are_refused() -> None:
    """A schema of thirty lines can stand for a thousand million parts."""
    links = {f"d{i}": {"allOf": [{"$ref": f"#/$defs/d{i + 1}"}, {"$ref": f"#/$defs/d{i + 1}"}]} for i in range(30)}
    schema = {"$ref": "#/$defs/d0", "$defs": {**links, "d30": {"type": "string"}}}
    with pytest.raises(ConfigurationError, match="without end"):
        misfits(Located(schema, schema), Located(schema, schema))
