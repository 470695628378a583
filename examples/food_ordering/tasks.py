"""What the order workflow and the kitchens agree on: the one file that both sides import.

Types travel as JSON; any type that msgspec or pydantic knows will do. Nothing of Restate is in here.
"""

from __future__ import annotations

from datetime import timedelta

import msgspec

from kallback.protocol import RetryPolicy, TaskType


class Location(msgspec.Struct, frozen=True):
    """A point on the map, in degrees."""

    latitude: float
    longitude: float


class Place(msgspec.Struct, frozen=True):
    """A restaurant, or a customer's door."""

    name: str
    address: str
    location: Location


class Item(msgspec.Struct, frozen=True):
    """One line of an order."""

    dish: str
    quantity: int
    price_cents: int


class Order(msgspec.Struct, frozen=True):
    """What a customer wants, from whom, and where to bring it."""

    id: str
    restaurant: Place
    customer: Place
    items: tuple[Item, ...]

    @property
    def total_cents(self) -> int:
        """What the customer pays."""
        return sum(item.quantity * item.price_cents for item in self.items)


class Prepared(msgspec.Struct, frozen=True):
    """The kitchen's answer: the food is packed."""

    minutes: int
    shelf: str


class Cake(msgspec.Struct, frozen=True):
    """A cake with so many layers: hours of work in life, seconds in a demo."""

    id: str
    layers: int


class Baked(msgspec.Struct, frozen=True):
    """The bakery's answer.

    Attributes:
        resumed_at: the layer at which the last baker began: 0 for one who baked it all.
    """

    layers: int
    resumed_at: int


prepare = TaskType("restaurant.prepare", request=Order, result=Prepared, timeout=timedelta(minutes=30))

bake = TaskType(
    "bakery.bake",
    request=Cake,
    result=Baked,
    timeout=timedelta(days=2),
    heartbeat_every=timedelta(seconds=0.5),
    retry=RetryPolicy(attempts=4, first_delay=timedelta(seconds=0.2)),
)
