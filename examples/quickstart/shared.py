from dataclasses import dataclass

from kallback.protocol import TaskType


@dataclass
class Order:
    dish: str
    table: int


@dataclass
class Prepared:
    shelf: str


prepare = TaskType("restaurant.prepare", request=Order, result=Prepared)
