"""The scenes of the demo: ordinary orders first, then seven scenes with failures."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Mapping, Sequence
from typing import Any

from demo_board import Board, Check
from demo_cake import CakeScene
from demo_invalid_records import (
    ExpectedOutcome,
    InvalidRecord,
    RecordPosition,
    key_id_of,
    position_of,
    send_invalid_records,
    source_of,
)
from demo_processes import NEW_KEY, DemoProcesses
from demo_untaken import UntakenTaskScene
from demo_watch import Watch
from tasks import Order

from kallback.testing.servers.processes import ChildProcess

SOLD_OUT_ORDER = "13"
CANCELLED_ORDER = "14"
ORDER_BEHIND_INVALID_RECORDS = "26"
ROTATION_ORDER = "27"
BUSY = 3  # orders in the kitchen when a process is killed
READING_TIME = 1.5  # seconds
_FINAL = ("DELIVERED", "REJECTED", "CANCELLED")
_BEFORE_ANSWER = ("PLACED", "PREPARING")


def expected_ends(orders: Sequence[Order]) -> dict[str, str]:
    """The right final state of each order."""
    special = {SOLD_OUT_ORDER: "REJECTED", CANCELLED_ORDER: "CANCELLED"}
    return {order.id: special.get(order.id, "DELIVERED") for order in orders}


class Scenes:
    """Runs the scenes: ordinary orders, then seven scenes with failures.

    Attributes:
        stopped: processes that were stopped on purpose and do not run.
        expected: the result records that are not ordinary, by position, with the outcome that each must have.
    """

    def __init__(self, processes: DemoProcesses, board: Board, orders: Sequence[Order]) -> None:
        self._processes = processes
        self._board = board
        self._orders = sorted(order.id for order in orders)
        self._watch = Watch(processes, board, {order.id: order for order in orders})
        self.stopped = self._watch.killed
        self.expected: dict[RecordPosition, ExpectedOutcome] = {}

    async def run(self) -> list[Check]:
        """Scenes everything, in order; return what the scenes themselves found."""
        await self._ordinary_orders()
        await self._kitchen_rejects()
        await self._customer_cancels()
        await self._bridge_and_kitchen_are_killed()
        await self._invalid_records_arrive()
        await self._keys_rotate_in_the_wrong_order()
        found = await self._baker_is_killed()
        found += await self._no_worker_takes_a_task()
        watch = self._watch
        await watch.until("every order to end", lambda: watch.count(*_FINAL) == len(self._orders), timeout_s=60)
        return found

    async def _ordinary_orders(self) -> None:
        await self._scene(
            "Ordinary orders",
            "Twelve orders come in. For each, a Restate workflow charges the customer, asks the kitchen through Kafka,",
            "and waits for the answer. The kitchen is a Kafka worker that knows nothing of Restate.",
        )
        await self._watch.place([order_id for order_id in self._orders if order_id < SOLD_OUT_ORDER])
        await self._watch.until("the first delivery", lambda: self._watch.count("DELIVERED") > 0)

    async def _kitchen_rejects(self) -> None:
        await self._scene(
            "Scene 1 of 7: the kitchen rejects an order",
            f"Order {SOLD_OUT_ORDER} asks for burrata, which is sold out. The worker raises a typed failure. The",
            "workflow catches it as a typed error in another process, and refunds the customer.",
        )
        await self._watch.place([SOLD_OUT_ORDER])
        await self._watch.until("the rejection", lambda: self._watch.seen[SOLD_OUT_ORDER].stage == "REJECTED")
        self._board.say(f"order {SOLD_OUT_ORDER} was rejected: {self._watch.seen[SOLD_OUT_ORDER].detail}", "red")

    async def _customer_cancels(self) -> None:
        await self._scene(
            "Scene 2 of 7: a customer cancels",
            f"Order {CANCELLED_ORDER} is a Peking duck, which takes long. The customer cancels meanwhile. The workflow",
            "ends, and kallback tells the kitchen, which stops the work.",
        )
        await self._watch.place([CANCELLED_ORDER])
        await self._watch.until(
            "the duck in the oven", lambda: self._watch.kitchen("cooking", [CANCELLED_ORDER]) != set()
        )
        self._board.say(f"order {CANCELLED_ORDER} is in the oven; the customer cancels")
        await self._processes.ingress.call(f"OrderWorkflow/{CANCELLED_ORDER}/cancel")
        await self._watch.until("the cancellation", lambda: self._watch.seen[CANCELLED_ORDER].stage == "CANCELLED")
        await self._watch.until(
            "the kitchen to be told", lambda: self._watch.kitchen("told to stop", [CANCELLED_ORDER]) != set()
        )
        self._board.say(f"the kitchen's log: told to stop order {CANCELLED_ORDER}", "magenta")

    async def _bridge_and_kitchen_are_killed(self) -> None:
        processes, board, watch = self._processes, self._board, self._watch
        await self._scene(
            "Scene 3 of 7: kill -9",
            "Eleven more orders. The bridge is killed, then the kitchen with orders on the stove. Answers stay in",
            "Kafka, workflows wait in Restate. Both processes start again and continue.",
        )
        late = [order_id for order_id in self._orders if CANCELLED_ORDER < order_id < ORDER_BEHIND_INVALID_RECORDS]
        await watch.place(late, pause=0)
        await watch.until("orders on the stove", lambda: len(watch.kitchen("cooking", late)) >= BUSY)
        await self._kill(processes.bridge)
        packed = len(watch.kitchen("packed", late))
        enough = min(packed + BUSY, len(late))
        await watch.until("answers that are not read", lambda: len(watch.kitchen("packed", late)) >= enough)
        await self._kill(processes.kitchen)
        done = watch.kitchen("packed", late)
        board.say(f"{len(done) - packed} more orders were packed in between, and no bridge reads their answers")
        board.say(f"not finished: orders {', '.join(sorted(watch.kitchen('cooking', late) - done)) or 'none'}")
        await asyncio.sleep(1.5)
        board.say(f"{watch.count('PREPARING')} workflows wait in Restate; the bridge and the kitchen start again")
        await self._restart()
        await watch.until("every answer to be delivered", lambda: not watch.count(*_BEFORE_ANSWER))
        self._say_what_was_cooked_twice()

    async def _invalid_records_arrive(self) -> None:
        order_id, watch = ORDER_BEHIND_INVALID_RECORDS, self._watch
        await self._scene(
            "Scene 4 of 7: invalid records on the results topic",
            "Four kinds of invalid records arrive: a duplicate, a late answer, a forged answer, and garbage in",
            f"every partition. The answer to order {order_id} comes after them.",
        )
        invalid = await send_invalid_records(self._processes)
        self.expected.update({position: each.expected for position, each in invalid.items()})
        self._board.say(f"{len(invalid)} invalid records are on the results topic", "red")
        await watch.place([order_id])
        await watch.until(f"the answer to order {order_id}", lambda: watch.seen[order_id].stage not in _BEFORE_ANSWER)
        self._board.say(f"order {order_id} has its answer: the records before it blocked no partition", "green")
        await watch.until("an outcome for each record", lambda: self._outcomes_are_known(invalid))
        await watch.until(f"order {order_id}", lambda: watch.seen[order_id].stage == "DELIVERED")

    async def _outcomes_are_known(self, invalid: Mapping[RecordPosition, InvalidRecord]) -> bool:
        """Show the outcomes of these records, once each has one."""
        outcomes = {source_of(each): each for each in await self._processes.outcomes()}
        if not invalid.keys() <= outcomes.keys():
            return False
        self._board.say("their outcomes, as the bridge writes them to the outcomes topic:")
        told = Counter((each.what, _in_words(outcomes[position])) for position, each in invalid.items())
        for (what, became), times in told.items():
            self._board.say(f"{what}{f', {times} times' if times > 1 else ''}: {became}")
        return True

    async def _keys_rotate_in_the_wrong_order(self) -> None:
        order_id, watch, board = ROTATION_ORDER, self._watch, self._board
        await self._scene(
            "Scene 5 of 7: a key rotation in the wrong order",
            "The services sign with a new key before the bridge has it. The bridge cannot verify the answer and does",
            "not drop it: the answer becomes a dead letter, and the workflow keeps waiting.",
            meanwhile=self._processes.rotate_services(),
        )
        board.say("the services were restarted with a new signing key; the bridge does not know it")
        await watch.place([order_id])
        await watch.until("the answer that cannot be verified", self._signed_answer_is_dead_lettered)
        board.say(f"order {order_id} is cooked, but its answer is a dead letter; the workflow keeps waiting", "red")
        await self._processes.rotate_bridge()
        board.say("the bridge was restarted with both keys")
        await self._operate("dead-letters", "list")
        await self._operate("dead-letters", "replay", "--reason", "unknown-key", "--yes")
        await watch.until(f"order {order_id}", lambda: watch.seen[order_id].stage == "DELIVERED")
        board.say(f"order {order_id} is delivered: nothing was lost", "green")

    async def _baker_is_killed(self) -> list[Check]:
        await self._scene(
            "Scene 6 of 7: a long task, and a baker that is killed",
            "A wedding cake takes hours. The baker sends a heartbeat after each layer, and its progress can be read.",
            "Then the baker is killed. Kafka does not deliver the cake again; the missing heartbeats reveal the loss.",
        )
        return await CakeScene(self._processes, self._board, self._watch).run()

    async def _no_worker_takes_a_task(self) -> list[Check]:
        await self._scene(
            "Scene 7 of 7: a task that no worker takes",
            "Another cake is ordered when all bakers have gone home, and its workflow waits. The doctor says why, the",
            "console shows the task, and an operator fails it by hand: through Kafka, in her name, with a reason.",
        )
        return await UntakenTaskScene(self._processes, self._board, self._watch).run()

    async def _signed_answer_is_dead_lettered(self) -> bool:
        """Whether there is an answer signed with the new key, and the bridge has written its outcome."""
        results = await self._processes.read(self._processes.settings.topics.results)
        unknown = {position_of(record) for record in results if key_id_of(record) == NEW_KEY}
        self.expected.update(dict.fromkeys(unknown, ExpectedOutcome("unverified", "unknown-key", replayed=True)))
        return bool(unknown) and unknown <= {source_of(each) for each in await self._processes.outcomes()}

    async def _operate(self, *arguments: str) -> None:
        self._board.command(f"kallback {' '.join(arguments)}", await self._processes.kallback(*arguments))

    async def _scene(self, title: str, *sentences: str, meanwhile: Awaitable[None] | None = None) -> None:
        """Announce a scene, and give people time to read it while `meanwhile` runs."""
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

    def _say_what_was_cooked_twice(self) -> None:
        twice = sum(times > 1 for times in Counter(self._processes.kitchen_log("cooking")).values())
        if twice:
            self._board.say(f"{twice} orders were cooked twice: work may run again after a crash, one answer counts")


def _in_words(outcome: Mapping[str, Any]) -> str:
    """An outcome record as a phrase."""
    reason = outcome.get("reason")
    return f"{outcome['outcome']}, a dead letter ({reason})" if reason else str(outcome["outcome"])
