"""The demo's hands and eyes: it places orders, looks where they are, and waits for what must happen."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import Any

import msgspec
from demo_board import Board, Sight
from demo_stage import Stage
from tasks import Order

from kallback.testing import ServerStartError
from kallback.testing.servers.processes import ChildProcess


class Watch:
    """Places orders and looks at them.

    Attributes:
        seen: where each order that was placed is.
        killed: processes that were killed on purpose: it is no fault that they do not run.
    """

    def __init__(self, stage: Stage, board: Board, orders: Mapping[str, Order]) -> None:
        self._stage = stage
        self._board = board
        self._orders = orders
        self.seen: dict[str, Sight] = {}
        self.killed: set[ChildProcess] = set()

    async def place(self, order_ids: Sequence[str], *, pause: float = 0.1) -> None:
        """Place orders, as the customers' app would."""
        for order_id in order_ids:
            self.seen[order_id] = Sight()
            body = msgspec.to_builtins(self._orders[order_id])
            await self._stage.ingress.send(f"OrderWorkflow/{order_id}/create", body)
            await self._look()
            await asyncio.sleep(pause)

    def kitchen(self, word: str, of: Collection[str]) -> set[str]:
        """Which of these orders the kitchen's own log has that word about."""
        return set(self._stage.kitchen_log(word)).intersection(of)

    def count(self, *stages: str) -> int:
        """How many orders are there."""
        return sum(sight.stage in stages for sight in self.seen.values())

    async def until(self, what: str, true: Callable[[], bool | Awaitable[bool]], *, patience: float = 30) -> None:
        """Look until it is true.

        Raises:
            ServerStartError: a process ended that should run.
            TimeoutError: patience is over; says what was waited for.
        """
        deadline = time.monotonic() + patience
        while not await _answer(true):
            if fallen := self._stage.fallen(but=self.killed):
                raise ServerStartError("\n".join(fallen))
            if time.monotonic() > deadline:
                raise TimeoutError(f"waited {patience:g} s for {what}")
            await asyncio.sleep(0.2)
            await self._look()

    async def _look(self) -> None:
        """Ask Restate for the state of all orders, in one query."""
        sql = "SELECT service_name, service_key, value_utf8 FROM state WHERE key = 'status'"
        self.seen.update(_sights(await self._stage.admin.query(sql)))
        self._board.show(self.seen)


async def _answer(question: Callable[[], bool | Awaitable[bool]]) -> bool:
    answer = question()
    return answer if isinstance(answer, bool) else await answer


def _sights(rows: list[dict[str, Any]]) -> dict[str, Sight]:
    states = {(row["service_name"], row["service_key"]): msgspec.json.decode(row["value_utf8"]) for row in rows}
    sights: dict[str, Sight] = {}
    for (service, order_id), state in states.items():
        if service == "OrderWorkflow":
            on_the_road = states.get(("DeliveryManager", order_id)) if state["stage"] == "DELIVERING" else None
            sights[order_id] = Sight(state["stage"], on_the_road or state["detail"])
    return sights
