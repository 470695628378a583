"""The twenty lines of the README, run as they stand."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from kallback.testing import Stack
from kallback.testing.clients.restate import Ingress
from kallback.testing.clients.service_endpoint import ServiceProcess
from kallback.testing.servers.processes import ChildProcess
from kallback.testing.topics import TopicFactory

pytestmark = pytest.mark.acceptance

EXAMPLE = Path(__file__).parents[2] / "examples" / "quickstart"
KALLBACK = str(Path(sys.executable).with_name("kallback"))


async def test_the_quickstart_answers(kallback_stack: Stack, topics_factory: TopicFactory, tmp_path: Path) -> None:
    """Handler, worker and bridge of the quickstart, each as its own process, answer a call."""
    prefix = topics_factory("quickstart") + "."
    own = [f"{prefix}{name}" for name in ("results", "progress", "control", "outcomes", "dead-letters")]
    topics_factory.make([*own, "restaurant.prepare"])
    env = {
        "KALLBACK_KAFKA_BOOTSTRAP_SERVERS": kallback_stack.bootstrap_servers,
        "KALLBACK_RESTATE_INGRESS_URL": kallback_stack.ingress_url,
        "KALLBACK_RESTATE_ADMIN_URL": kallback_stack.admin_url,
        "KALLBACK_TOPICS_PREFIX": prefix,
        "KALLBACK_INSECURE": "1",
    }
    bridge, worker = (
        ChildProcess(
            command[0], [KALLBACK, *command], log=tmp_path / f"{command[0]}.log", env={**os.environ, **env}, cwd=EXAMPLE
        )
        for command in (["bridge"], ["worker", "worker:worker"])
    )
    service = ServiceProcess("handler:app", kallback_stack.restate, env=env, cwd=EXAMPLE)
    try:
        for process in (bridge, worker, service):
            process.start()
        async with Ingress(kallback_stack.ingress_url) as ingress:
            assert await ingress.call("Orders/place", "Pizza") == "Pizza waits on shelf B4"
    finally:
        for process in (bridge, worker):
            process.kill()
        service.close()


@pytest.mark.parametrize("name", ["shared.py", "handler.py", "worker.py"])
def test_the_readme_shows_the_quickstart_as_it_stands(name: str) -> None:
    """What a newcomer copies from the README is what was run."""
    readme = (EXAMPLE.parents[1] / "README.md").read_text()
    assert f"```python\n{(EXAMPLE / name).read_text()}```" in readme
