"""The story of the demo: ordinary business first, then three scenes in which things go wrong on purpose."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from typing import Any

import msgspec
from demo_board import Board, Sight
from demo_stage import Stage
from tasks import Order

from kallback.testing import ServerStartError
from kallback.testing.processes import ChildProcess

SOLD_OUT_ORDER = "13"
CANCELLED_ORDER = "14"
BUSY = 3  # orders that make it interesting to kill somebody
READING_TIME = 1.5  # seconds
_FINAL = ("DELIVERED", "REJECTED", "CANCELLED")


def expected_ends(orders: Sequence[Order]) -> dict[str, str]:
    """The right final state of each order."""
    special = {SOLD_OUT_ORDER: "REJECTED", CANCELLED_ORDER: "CANCELLED"}
    return {order.id: special.get(order.id, "DELIVERED") for order in orders}


class Play:
    """The demo: an act of ordinary business, then three scenes in which things go wrong."""

    def __init__(self, stage: Stage, board: Board, orders: Sequence[Order]) -> None:
        self._stage = stage
        self._board = board
        self._orders = {order.id: order for order in orders}
        self._seen: dict[str, Sight] = {}
        self._killed: set[ChildProcess] = set()

    async def perform(self) -> None:
        """Play everything, in order."""
        await self._business()
        await self._kitchen_says_no()
        await self._customer_cancels()
        await self._everything_dies()
        await self._until("every order to end", lambda: self._count(*_FINAL) == len(self._orders), patience=60)
        self._tell_what_was_cooked_twice()

    async def _business(self) -> None:
        await self._scene(
            "Business as usual",
            "Twelve orders come in. For each a Restate workflow takes the money, asks the kitchen through Kafka,",
            "and waits for the answer. The kitchen is a plain Kafka worker: it does not know that Restate exists.",
        )
        await self._place([order_id for order_id in sorted(self._orders) if order_id < SOLD_OUT_ORDER])
        await self._until("the first delivery", lambda: self._count("DELIVERED") > 0)

    async def _kitchen_says_no(self) -> None:
        await self._scene(
            "Scene 1 of 3: the kitchen says no",
            f"Order {SOLD_OUT_ORDER} wants burrata, and there is none. The worker raises a typed failure; the workflow",
            "catches it as a typed error, one Kafka and two processes away, and gives the money back.",
        )
        await self._place([SOLD_OUT_ORDER])
        await self._until("the rejection", lambda: self._seen[SOLD_OUT_ORDER].stage == "REJECTED")
        self._board.say(f"order {SOLD_OUT_ORDER} was rejected: {self._seen[SOLD_OUT_ORDER].detail}", "red")

    async def _customer_cancels(self) -> None:
        await self._scene(
            "Scene 2 of 3: the customer changes her mind",
            f"Order {CANCELLED_ORDER} is a whole Peking duck. While it roasts, the customer cancels. The workflow",
            "ends, and the kitchen must hear of it: otherwise it would go on roasting for nobody.",
        )
        await self._place([CANCELLED_ORDER])
        await self._until("the duck to roast", lambda: self._kitchen("cooking", [CANCELLED_ORDER]) != set())
        self._board.say(f"order {CANCELLED_ORDER} is in the oven; the customer cancels")
        await self._stage.ingress.call(f"OrderWorkflow/{CANCELLED_ORDER}/cancel")
        await self._until("the cancellation", lambda: self._seen[CANCELLED_ORDER].stage == "CANCELLED")
        await self._until(
            "the kitchen to hear of it", lambda: self._kitchen("told to stop", [CANCELLED_ORDER]) != set()
        )
        self._board.say(f"the kitchen's own log says that it was told to stop order {CANCELLED_ORDER}", "magenta")

    async def _everything_dies(self) -> None:
        stage, board = self._stage, self._board
        await self._scene(
            "Scene 3 of 3: kill -9",
            "Eleven more orders. The bridge is killed, then the kitchen with food on the stove: no goodbye, no",
            "cleanup. Answers wait in Kafka, workflows in Restate; once both are started again, all goes on.",
        )
        late = [order_id for order_id in sorted(self._orders) if order_id > CANCELLED_ORDER]
        await self._place(late, pause=0)
        await self._until("orders on the stove", lambda: len(self._kitchen("cooking", late)) >= BUSY)
        await self._kill(stage.bridge)
        packed = len(self._kitchen("packed", late))
        enough = min(packed + BUSY, len(late))
        await self._until("answers that nobody collects", lambda: len(self._kitchen("packed", late)) >= enough)
        await self._kill(stage.kitchen)
        done = self._kitchen("packed", late)
        board.say(f"{len(done) - packed} more orders were packed in between, and nobody collects the answers")
        board.say(f"half cooked: orders {', '.join(sorted(self._kitchen('cooking', late) - done)) or 'none'}")
        await asyncio.sleep(1.5)
        board.say(f"{self._count('PREPARING')} workflows wait in Restate; bridge and kitchen start again")
        await self._restart()

    async def _scene(self, title: str, *sentences: str) -> None:
        self._board.scene(title, *sentences)
        await asyncio.sleep(READING_TIME)

    async def _kill(self, process: ChildProcess) -> None:
        self._killed.add(process)
        pid = process.pid
        await asyncio.to_thread(process.kill)
        self._board.say(f"kill -9 {pid} ({process.name})", "bold red")

    async def _restart(self) -> None:
        for process in self._killed:
            process.start()
        self._killed.clear()

    def _tell_what_was_cooked_twice(self) -> None:
        twice = sum(times > 1 for times in Counter(self._stage.kitchen_log("cooking")).values())
        if twice:
            self._board.say(f"{twice} orders were cooked twice: work may repeat, one answer counts")

    async def _place(self, order_ids: Sequence[str], *, pause: float = 0.1) -> None:
        for order_id in order_ids:
            self._seen[order_id] = Sight()
            body = msgspec.to_builtins(self._orders[order_id])
            await self._stage.ingress.send(f"OrderWorkflow/{order_id}/create", body)
            await self._look()
            await asyncio.sleep(pause)

    def _kitchen(self, word: str, of: Collection[str]) -> set[str]:
        """Which of these orders the kitchen's own log has that word about."""
        return set(self._stage.kitchen_log(word)).intersection(of)

    def _count(self, *stages: str) -> int:
        return sum(sight.stage in stages for sight in self._seen.values())

    async def _until(self, what: str, true: Callable[[], bool], *, patience: float = 30) -> None:
        """Look until it is true.

        Raises:
            ServerStartError: a process ended that should run.
            TimeoutError: patience is over; says what was waited for.
        """
        deadline = time.monotonic() + patience
        while not true():
            if fallen := self._stage.fallen(but=self._killed):
                raise ServerStartError("\n".join(fallen))
            if time.monotonic() > deadline:
                raise TimeoutError(f"waited {patience:g} s for {what}")
            await asyncio.sleep(0.2)
            await self._look()

    async def _look(self) -> None:
        """Ask Restate for the state of all orders, in one query."""
        sql = "SELECT service_name, service_key, value_utf8 FROM state WHERE key = 'status'"
        self._seen.update(_sights(await self._stage.admin.query(sql)))
        self._board.show(self._seen)


def _sights(rows: list[dict[str, Any]]) -> dict[str, Sight]:
    states = {(row["service_name"], row["service_key"]): msgspec.json.decode(row["value_utf8"]) for row in rows}
    sights: dict[str, Sight] = {}
    for (service, order_id), state in states.items():
        if service == "OrderWorkflow":
            on_the_road = states.get(("DeliveryManager", order_id)) if state["stage"] == "DELIVERING" else None
            sights[order_id] = Sight(state["stage"], on_the_road or state["detail"])
    return sights
