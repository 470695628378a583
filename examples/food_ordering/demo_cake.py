"""The last scene: a cake that takes long, and a baker who does not come back."""

from __future__ import annotations

import re

from demo_board import Board, Check
from demo_stage import Stage
from demo_watch import Watch

from kallback.testing.servers.processes import ChildProcess

CAKE = "wedding"
LAYERS = 16
_ENOUGH = 3  # layers before the baker is killed


class CakeScene:
    """Has a cake baked by two bakers, of whom one is killed."""

    def __init__(self, stage: Stage, board: Board, watch: Watch) -> None:
        self._stage = stage
        self._board = board
        self._watch = watch

    async def play(self) -> list[Check]:
        """Play it; return what there is to check."""
        stage, board, watch = self._stage, self._board, self._watch
        invocation = await stage.ingress.send(f"CakeOrder/{CAKE}/create", {"id": CAKE, "layers": LAYERS})
        await watch.until("some layers", lambda: max(map(len, map(self._layers, stage.bakers))) >= _ENOUGH)
        task_id = str(await stage.ingress.call(f"CakeOrder/{CAKE}/task"))
        await self._progress(task_id)
        (baker,) = [each for each in stage.bakers if self._layers(each)]
        watch.killed.add(baker)
        pid = baker.pid
        baker.kill()
        board.say(
            f"kill -9 {pid} ({baker.name}); nobody tells the workflow, and the cake was acknowledged to Kafka",
            "bold red",
        )
        await watch.until(
            "another baker", lambda: any(self._layers(each) for each in stage.bakers if each is not baker)
        )
        board.say(
            "no heartbeat for three intervals: the attempt is lost, another baker goes on where it stopped", "green"
        )
        await self._progress(task_id)
        baked = await stage.ingress.attach(invocation)
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
        return Check("the cake was finished by a second baker, who knew where the first one stopped", tuple(wrong))

    async def _progress(self, task_id: str) -> None:
        command = ("tasks", "progress", task_id)
        self._board.command(f"kallback {' '.join(command)}", await self._stage.kallback(*command))

    @staticmethod
    def _layers(baker: ChildProcess) -> list[str]:
        return re.findall(rf"cake {CAKE}: layer (\d+) of", baker.log.read_text(errors="replace"))
