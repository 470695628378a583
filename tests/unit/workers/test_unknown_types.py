"""Task types that no function of a worker knows: a dead letter, and a failed result where the operator wants one."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner
from tests.unit.workers.environment import WorkerEnv

import kallback.cli.commands.worker as command
from kallback.workers import Worker


@pytest.mark.parametrize("fail", [False, True])
async def test_the_caller_of_an_unknown_type_is_failed_where_the_operator_chose_it(
    env: WorkerEnv, *, fail: bool
) -> None:
    """The dead letter is written in both cases."""
    worker = env.worker(fail_unknown_types=fail)
    env.cook(worker)
    env.send("t1", task_type="wash")
    async with worker:
        await env.settled(1)
    assert env.dead() == ["unknown-task-type"]
    assert len(env.results()) == fail
    for result in env.results():
        assert (result.status, result.value["type"]) == ("failed", "urn:kallback:unknown-task-type")
        assert (result.value["status"], result.value["retryable"]) == (501, False)
        assert "'wash'" in result.value["detail"]


async def test_an_unknown_type_with_a_refused_reply_topic_is_a_dead_letter_only(env: WorkerEnv) -> None:
    """A forged task makes no worker write elsewhere."""
    worker = env.worker(fail_unknown_types=True)
    env.cook(worker)
    env.send("t1", task_type="wash", reply_to="kallback.control")
    async with worker:
        await env.settled(1)
    assert (env.dead(), env.results("kallback.control")) == (["unknown-task-type"], [])


def test_the_command_chooses_to_fail_unknown_types(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`--fail-unknown-types`; without it the worker's own options hold."""
    served: list[Worker] = []
    (tmp_path / "canteen.py").write_text("from kallback.workers import Worker\nworker = Worker('canteen')\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(command, "serve", served.append)
    chosen = []
    for arguments in ([], ["--fail-unknown-types"]):
        assert CliRunner().invoke(command.worker, ["canteen:worker", *arguments]).exit_code == 0
        chosen.append(served[-1].options.fail_unknown_types)
    assert chosen == [False, True]
