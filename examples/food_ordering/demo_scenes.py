"""The story of the demo: ordinary business first, then six scenes in which things go wrong on purpose."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Mapping, Sequence
from typing import Any

from demo_board import Board, Check
from demo_cake import CakeScene
from demo_rubbish import Fate, Place, Rubbish, key_id_of, litter, place_of, source_of
from demo_stage import NEW_KEY, Stage
from demo_watch import Watch
from tasks import Order

from kallback.testing.servers.processes import ChildProcess

SOLD_OUT_ORDER = "13"
CANCELLED_ORDER = "14"
ORDER_BEHIND_RUBBISH = "26"
ROTATION_ORDER = "27"
BUSY = 3  # orders that make it interesting to kill somebody
READING_TIME = 1.5  # seconds
_FINAL = ("DELIVERED", "REJECTED", "CANCELLED")
_BEFORE_ANSWER = ("PLACED", "PREPARING")


def expected_ends(orders: Sequence[Order]) -> dict[str, str]:
    """The right final state of each order."""
    special = {SOLD_OUT_ORDER: "REJECTED", CANCELLED_ORDER: "CANCELLED"}
    return {order.id: special.get(order.id, "DELIVERED") for order in orders}


class Play:
    """The demo: an act of ordinary business, then six scenes in which things go wrong.

    Attributes:
        fates: the result records that are not ordinary, by position, and what must become of each.
    """

    def __init__(self, stage: Stage, board: Board, orders: Sequence[Order]) -> None:
        self._stage = stage
        self._board = board
        self._orders = sorted(order.id for order in orders)
        self._watch = Watch(stage, board, {order.id: order for order in orders})
        self.fates: dict[Place, Fate] = {}

    async def perform(self) -> list[Check]:
        """Play everything, in order; return what the scenes themselves found."""
        await self._business()
        await self._kitchen_says_no()
        await self._customer_cancels()
        await self._everything_dies()
        await self._somebody_litters()
        await self._keys_rotate_in_the_wrong_order()
        found = await self._a_baker_is_lost()
        watch = self._watch
        await watch.until("every order to end", lambda: watch.count(*_FINAL) == len(self._orders), patience=60)
        return found

    async def _business(self) -> None:
        await self._scene(
            "Business as usual",
            "Twelve orders come in. For each a Restate workflow takes the money, asks the kitchen through Kafka,",
            "and waits for the answer. The kitchen is a plain Kafka worker: it does not know that Restate exists.",
        )
        await self._watch.place([order_id for order_id in self._orders if order_id < SOLD_OUT_ORDER])
        await self._watch.until("the first delivery", lambda: self._watch.count("DELIVERED") > 0)

    async def _kitchen_says_no(self) -> None:
        await self._scene(
            "Scene 1 of 6: the kitchen says no",
            f"Order {SOLD_OUT_ORDER} wants burrata, and there is none. The worker raises a typed failure; the workflow",
            "catches it as a typed error, one Kafka and two processes away, and gives the money back.",
        )
        await self._watch.place([SOLD_OUT_ORDER])
        await self._watch.until("the rejection", lambda: self._watch.seen[SOLD_OUT_ORDER].stage == "REJECTED")
        self._board.say(f"order {SOLD_OUT_ORDER} was rejected: {self._watch.seen[SOLD_OUT_ORDER].detail}", "red")

    async def _customer_cancels(self) -> None:
        await self._scene(
            "Scene 2 of 6: the customer changes her mind",
            f"Order {CANCELLED_ORDER} is a whole Peking duck. While it roasts, the customer cancels. The workflow",
            "ends, and the kitchen must hear of it: otherwise it would go on roasting for nobody.",
        )
        await self._watch.place([CANCELLED_ORDER])
        await self._watch.until("the duck to roast", lambda: self._watch.kitchen("cooking", [CANCELLED_ORDER]) != set())
        self._board.say(f"order {CANCELLED_ORDER} is in the oven; the customer cancels")
        await self._stage.ingress.call(f"OrderWorkflow/{CANCELLED_ORDER}/cancel")
        await self._watch.until("the cancellation", lambda: self._watch.seen[CANCELLED_ORDER].stage == "CANCELLED")
        await self._watch.until(
            "the kitchen to hear of it", lambda: self._watch.kitchen("told to stop", [CANCELLED_ORDER]) != set()
        )
        self._board.say(f"the kitchen's own log says that it was told to stop order {CANCELLED_ORDER}", "magenta")

    async def _everything_dies(self) -> None:
        stage, board, watch = self._stage, self._board, self._watch
        await self._scene(
            "Scene 3 of 6: kill -9",
            "Eleven more orders. The bridge is killed, then the kitchen with food on the stove: no goodbye, no",
            "cleanup. Answers wait in Kafka, workflows in Restate; once both are started again, all goes on.",
        )
        late = [order_id for order_id in self._orders if CANCELLED_ORDER < order_id < ORDER_BEHIND_RUBBISH]
        await watch.place(late, pause=0)
        await watch.until("orders on the stove", lambda: len(watch.kitchen("cooking", late)) >= BUSY)
        await self._kill(stage.bridge)
        packed = len(watch.kitchen("packed", late))
        enough = min(packed + BUSY, len(late))
        await watch.until("answers that nobody collects", lambda: len(watch.kitchen("packed", late)) >= enough)
        await self._kill(stage.kitchen)
        done = watch.kitchen("packed", late)
        board.say(f"{len(done) - packed} more orders were packed in between, and nobody collects the answers")
        board.say(f"half cooked: orders {', '.join(sorted(watch.kitchen('cooking', late) - done)) or 'none'}")
        await asyncio.sleep(1.5)
        board.say(f"{watch.count('PREPARING')} workflows wait in Restate; bridge and kitchen start again")
        await self._restart()
        await watch.until("every answer to be collected", lambda: not watch.count(*_BEFORE_ANSWER))
        self._tell_what_was_cooked_twice()

    async def _somebody_litters(self) -> None:
        order_id, watch = ORDER_BEHIND_RUBBISH, self._watch
        await self._scene(
            "Scene 4 of 6: rubbish on the results topic",
            "Somebody sends what no worker should: a copy of an answer, a late one, a forged one, and garbage into",
            f"every partition. Order {order_id} comes right after; its answer lies behind all that.",
        )
        rubbish = await litter(self._stage)
        self.fates.update({place: piece.fate for place, piece in rubbish.items()})
        self._board.say(f"{len(rubbish)} pieces of rubbish lie on the results topic", "red")
        await watch.place([order_id])
        await watch.until(f"the answer to order {order_id}", lambda: watch.seen[order_id].stage not in _BEFORE_ANSWER)
        self._board.say(f"order {order_id} has its answer: the rubbish in front of it stopped nobody", "green")
        await watch.until("an outcome for each piece", lambda: self._tell_what_became_of(rubbish))
        await watch.until(f"order {order_id}", lambda: watch.seen[order_id].stage == "DELIVERED")

    async def _tell_what_became_of(self, rubbish: Mapping[Place, Rubbish]) -> bool:
        """Tell what the outcomes topic says, once it says something of each piece."""
        outcomes = {source_of(each): each for each in await self._stage.outcomes()}
        if not rubbish.keys() <= outcomes.keys():
            return False
        self._board.say("the bridge says on the outcomes topic what became of each:")
        told = Counter((piece.what, _in_words(outcomes[place])) for place, piece in rubbish.items())
        for (what, became), times in told.items():
            self._board.say(f"{what}{f', {times} times' if times > 1 else ''}: {became}")
        return True

    async def _keys_rotate_in_the_wrong_order(self) -> None:
        order_id, watch, board = ROTATION_ORDER, self._watch, self._board
        await self._scene(
            "Scene 5 of 6: a key rotation in the wrong order",
            "The services sign with a new key before the bridge has it. The bridge must not believe what it cannot",
            "verify, and must not lose it either: the answer becomes a dead letter, and the workflow waits on.",
            meanwhile=self._stage.rotate_services(),
        )
        board.say("the services were restarted with a new signing key; the bridge does not know it")
        await watch.place([order_id])
        await watch.until("the answer that cannot be verified", self._a_signed_answer_died)
        board.say(f"order {order_id} is cooked, but its answer is a dead letter; the workflow waits on", "red")
        await self._stage.rotate_bridge()
        board.say("the bridge was restarted with both keys")
        await self._operate("dead-letters", "list")
        await self._operate("dead-letters", "replay", "--reason", "unknown-key", "--yes")
        await watch.until(f"order {order_id}", lambda: watch.seen[order_id].stage == "DELIVERED")
        board.say(f"order {order_id} is delivered: nothing was lost", "green")

    async def _a_baker_is_lost(self) -> list[Check]:
        await self._scene(
            "Scene 6 of 6: a long task, and a baker who does not come back",
            "A wedding cake takes hours. The bakery tells after each layer how far it is, and anybody may ask. Then",
            "the baker is killed. Kafka will not deliver the cake again; it is the heartbeats that are missed.",
        )
        return await CakeScene(self._stage, self._board, self._watch).play()

    async def _a_signed_answer_died(self) -> bool:
        """Whether there is an answer under the new key, and the bridge has judged it."""
        results = await self._stage.read(self._stage.settings.topics.results)
        unknown = {place_of(record) for record in results if key_id_of(record) == NEW_KEY}
        self.fates.update(dict.fromkeys(unknown, Fate("unverified", "unknown-key", replayed=True)))
        return bool(unknown) and unknown <= {source_of(each) for each in await self._stage.outcomes()}

    async def _operate(self, *arguments: str) -> None:
        self._board.command(f"kallback {' '.join(arguments)}", await self._stage.kallback(*arguments))

    async def _scene(self, title: str, *sentences: str, meanwhile: Awaitable[None] | None = None) -> None:
        """Announce a scene, and give people time to read it; what happens meanwhile happens off stage."""
        self._board.scene(title, *sentences)
        await asyncio.gather(asyncio.sleep(READING_TIME), *([] if meanwhile is None else [meanwhile]))

    async def _kill(self, process: ChildProcess) -> None:
        self._watch.killed.add(process)
        pid = process.pid
        await asyncio.to_thread(process.kill)
        self._board.say(f"kill -9 {pid} ({process.name})", "bold red")

    async def _restart(self) -> None:
        for process in self._watch.killed:
            process.start()
        self._watch.killed.clear()

    def _tell_what_was_cooked_twice(self) -> None:
        twice = sum(times > 1 for times in Counter(self._stage.kitchen_log("cooking")).values())
        if twice:
            self._board.say(f"{twice} orders were cooked twice: work may repeat, one answer counts")


def _in_words(outcome: Mapping[str, Any]) -> str:
    """What an outcome record says."""
    reason = outcome.get("reason")
    return f"{outcome['outcome']}, a dead letter ({reason})" if reason else str(outcome["outcome"])
