"""Places orders, polls where they are, and waits for what must happen."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import Any

import msgspec
from demo_board import Board, OrderView
from demo_processes import DemoProcesses
from tasks import Order

from kallback.testing import ServerStartError
from kallback.testing.servers.processes import ChildProcess


class Watch:
    """Places orders and polls their state.

    Attributes:
        seen: where each order that was placed is.
        killed: processes that were killed on purpose and need not run.
    """

    def __init__(self, processes: DemoProcesses, board: Board, orders: Mapping[str, Order]) -> None:
        self._processes = processes
        self._board = board
        self._orders = orders
        self.seen: dict[str, OrderView] = {}
        self.killed: set[ChildProcess] = set()

    async def place(self, order_ids: Sequence[str], *, pause: float = 0.1) -> None:
        """RecordPosition orders, as the customers' app would."""
        for order_id in order_ids:
            self.seen[order_id] = OrderView()
            body = msgspec.to_builtins(self._orders[order_id])
            await self._processes.ingress.send(f"OrderWorkflow/{order_id}/create", body)
            await self._poll()
            await asyncio.sleep(pause)

    def kitchen(self, word: str, of: Collection[str]) -> set[str]:
        """Which of these orders the kitchen's own log has that word about."""
        return set(self._processes.kitchen_log(word)).intersection(of)

    def count(self, *stages: str) -> int:
        """How many orders are there."""
        return sum(view.stage in stages for view in self.seen.values())

    async def until(self, what: str, true: Callable[[], bool | Awaitable[bool]], *, timeout_s: float = 30) -> None:
        """Poll until it is true.

        Raises:
            ServerStartError: a process ended that should run.
            TimeoutError: it did not become true within `timeout_s` seconds.
        """
        deadline = time.monotonic() + timeout_s
        while not await _answer(true):
            if ended := self._processes.ended(but=self.killed):
                raise ServerStartError("\n".join(ended))
            if time.monotonic() > deadline:
                raise TimeoutError(f"waited {timeout_s:g} s for {what}")
            await asyncio.sleep(0.2)
            await self._poll()

    async def _poll(self) -> None:
        """Ask Restate for the state of all orders, in one query."""
        sql = "SELECT service_name, service_key, value_utf8 FROM state WHERE key = 'status'"
        self.seen.update(_views(await self._processes.admin.query(sql)))
        self._board.show(self.seen)


async def _answer(question: Callable[[], bool | Awaitable[bool]]) -> bool:
    answer = question()
    return answer if isinstance(answer, bool) else await answer


def _views(rows: list[dict[str, Any]]) -> dict[str, OrderView]:
    states = {(row["service_name"], row["service_key"]): msgspec.json.decode(row["value_utf8"]) for row in rows}
    views: dict[str, OrderView] = {}
    for (service, order_id), state in states.items():
        if service == "OrderWorkflow":
            delivery = states.get(("DeliveryManager", order_id)) if state["stage"] == "DELIVERING" else None
            views[order_id] = OrderView(state["stage"], delivery or state["detail"])
    return views
