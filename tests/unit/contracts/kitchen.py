"""Types as users declare them, for the tests of contracts."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from typing import Annotated, Any, Generic, Literal, NamedTuple, NewType, TypedDict, TypeVar
from uuid import UUID

import msgspec
import pydantic

Each = TypeVar("Each")
OrderId = NewType("OrderId", str)


class Shelf(Enum):
    """A text each."""

    HOT = "hot"
    COLD = "cold"


@dataclass
class Dish:
    """Members with and without a default."""

    name: str
    count: int = 1
    tags: frozenset[str] = frozenset({"vegan", "hot", "new", "old"})


@dataclass
class Page(Generic[Each]):
    """Generic, and holds itself."""

    items: list[Each]
    following: Page[Each] | None = None


class Circle(msgspec.Struct, tag="circle"):
    """One of two that their tags tell apart."""

    radius: float


class Square(msgspec.Struct, tag="square", omit_defaults=True):
    """The other; members with their default are not written."""

    side: float
    angle: int | None = None


class Sparse(msgspec.Struct, forbid_unknown_fields=True):
    """A member that may be absent, and a bound."""

    count: Annotated[int, msgspec.Meta(ge=1, le=9)]
    note: str | msgspec.UnsetType = msgspec.UNSET


class Point(NamedTuple):
    """Written as a list."""

    x: int
    y: int = 0


class Hints(TypedDict, total=False):
    """Members that may be absent."""

    seat: int


class Odd(msgspec.Struct):
    """What is a text, or a list, in JSON."""

    at: datetime
    on: date
    clock: time
    took: timedelta
    price: Decimal
    uuid: UUID
    data: bytes
    pair: tuple[int, datetime]
    times: dict[str, list[datetime]] = msgspec.field(default_factory=dict)


class Model(pydantic.BaseModel):
    """An alias, a default, a number that is written as a text, and itself."""

    name: str = pydantic.Field(alias="Name")
    price: Decimal = Decimal("1.50")
    parts: list[Model] = []


class Mixed(msgspec.Struct):
    """A model inside another type, twice."""

    models: list[Model]
    dish: Dish
    last: Model | None = None


class Maps(msgspec.Struct):
    """Maps whose keys are no plain texts."""

    shelves: dict[Shelf, int]
    literals: dict[Literal["hot", "cold"], int]
    times: dict[datetime, str]
    numbers: dict[int, int]


NOW = datetime.fromisoformat("2026-01-01T10:00:00+00:00")
MODEL = Model(Name="a", parts=[Model(Name="b")])
ODD = Odd(NOW, NOW.date(), NOW.timetz(), timedelta(3), Decimal("1.10"), UUID(int=7), b"x", (1, NOW))
VALUES: list[tuple[Any, list[Any]]] = [
    (Dish, [Dish("soup")]),
    (Page[Dish], [Page([Dish("soup", 2)], Page([]))]),
    (Circle | Square, [Square(2.0), Circle(1.5)]),
    (Sparse, [Sparse(3), Sparse(9, "x")]),
    (Point, [Point(1)]),
    (Hints, [{"seat": 4}, {}]),
    (Odd, [ODD]),
    (Model, [MODEL]),
    (Mixed, [Mixed([MODEL], Dish("soup"))]),
    (list[Model | None], [[MODEL, None]]),
    (Shelf, [*Shelf]),
    (OrderId, [OrderId("o-1")]),
    (Literal["hot", 3] | None, [3, None]),
    (Dish | None, [None, Dish("tea")]),
    (None, [None]),
    (Any, [{"anything": [1, None]}]),
    (object, [3]),
    (dict[int, list[bytes]], [{3: [b"x"]}]),
    (Maps, [Maps({Shelf.HOT: 1}, {"hot": 1}, {NOW: "now"}, {7: 1})]),
    (float, [3, 0.5]),
]
"""Declared types, each with values."""
READ_ONLY: list[tuple[Any, bytes]] = [
    (Dish, b'{"name": "soup"}'),
    (Square, b'{"type": "square", "side": 2}'),
    (Point, b"[1]"),
    (Model, b'{"Name": "a", "price": 2.5}'),
    (Mixed, b'{"models": [], "dish": {"name": "soup", "unknown": 1}}'),
]
"""What is read and not written so."""
