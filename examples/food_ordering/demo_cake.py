"""The scene of a cake that takes long, and a baker that is killed."""

from __future__ import annotations

import re

from demo_board import Board, Check
from demo_processes import DemoProcesses
from demo_watch import Watch

from kallback.testing.servers.processes import ChildProcess

CAKE = "wedding"
LAYERS = 16
_ENOUGH = 3  # layers before the baker is killed


class CakeScene:
    """Has a cake baked by two bakers, the first of which is killed."""

    def __init__(self, processes: DemoProcesses, board: Board, watch: Watch) -> None:
        self._processes = processes
        self._board = board
        self._watch = watch

    async def run(self) -> list[Check]:
        """Scenes it; return what there is to check."""
        processes, board, watch = self._processes, self._board, self._watch
        invocation = await processes.ingress.send(f"CakeOrder/{CAKE}/create", {"id": CAKE, "layers": LAYERS})
        await watch.until("some layers", lambda: max(map(len, map(self._layers, processes.bakers))) >= _ENOUGH)
        task_id = str(await processes.ingress.call(f"CakeOrder/{CAKE}/task"))
        await self._progress(task_id)
        (baker,) = [each for each in processes.bakers if self._layers(each)]
        watch.killed.add(baker)
        pid = baker.pid
        baker.kill()
        board.say(
            f"kill -9 {pid} ({baker.name}); the cake was acknowledged to Kafka, so Kafka does not deliver it again",
            "bold red",
        )
        await watch.until(
            "another baker", lambda: any(self._layers(each) for each in processes.bakers if each is not baker)
        )
        board.say(
            "no heartbeat for three intervals: the attempt is lost, another baker continues where it stopped", "green"
        )
        await self._progress(task_id, may_have_ended=True)
        baked = await processes.ingress.attach(invocation)
        board.say(
            f"the cake has {baked['layers']} layers; the second baker began after layer {baked['resumed_at']}", "green"
        )
        baker.start()
        watch.killed.discard(baker)
        return [self._check(baked)]

    def _check(self, baked: dict[str, int]) -> Check:
        wrong: list[str] = []
        if baked["layers"] != LAYERS:
            wrong.append(f"it has {baked['layers']} layers, not {LAYERS}")
        if not 0 < baked["resumed_at"] < LAYERS:
            wrong.append(f"the second baker began after layer {baked['resumed_at']}: the details did not reach it")
        return Check("a second baker finished the cake from where the first one stopped", tuple(wrong))

    async def _progress(self, task_id: str, *, may_have_ended: bool = False) -> None:
        """Show the progress; on a busy machine the command may start when the cake is finished, and then says so."""
        command = ("tasks", "progress", task_id)
        lines = await self._processes.kallback(*command, may_fail=may_have_ended)
        self._board.command(f"kallback {' '.join(command)}", lines)

    @staticmethod
    def _layers(baker: ChildProcess) -> list[str]:
        return re.findall(rf"cake {CAKE}: layer (\d+) of", baker.log.read_text(errors="replace"))
