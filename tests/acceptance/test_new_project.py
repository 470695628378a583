"""What `kallback new` writes, run as its README says."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from kallback.cli.new.project import write_project
from kallback.testing import Stack, TopicFactory
from kallback.testing.clients.restate import Ingress
from kallback.testing.clients.service_endpoint import ServiceProcess
from kallback.testing.servers.processes import ChildProcess

pytestmark = pytest.mark.acceptance
KALLBACK = str(Path(sys.executable).with_name("kallback"))


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A new project."""
    write_project("print-shop", tmp_path / "print-shop")
    return tmp_path / "print-shop"


def test_its_tests_pass(project: Path) -> None:
    """All of them, without servers."""
    ended = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"],
        cwd=project,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout
    assert "6 passed" in ended.stdout


async def test_it_answers_a_call(
    project: Path, kallback_stack: Stack, topics_factory: TopicFactory, tmp_path: Path
) -> None:
    """Service, worker and bridge, each as its own process."""
    prefix = topics_factory("new") + "."
    own = [f"{prefix}{name}" for name in ("results", "progress", "control", "outcomes", "dead-letters")]
    topics_factory.make([*own, "print-shop.convert"])
    env = {
        "KALLBACK_KAFKA_BOOTSTRAP_SERVERS": kallback_stack.bootstrap_servers,
        "KALLBACK_KAFKA_CONNECT_TIMEOUT": "60",  # a busy machine is no fault of these pages
        "KALLBACK_RESTATE_INGRESS_URL": kallback_stack.ingress_url,
        "KALLBACK_RESTATE_ADMIN_URL": kallback_stack.admin_url,
        "KALLBACK_TOPICS_PREFIX": prefix,
        "KALLBACK_INSECURE": "1",
    }
    processes = [
        ChildProcess(
            command[0], [KALLBACK, *command], log=tmp_path / f"{command[0]}.log", env={**os.environ, **env}, cwd=project
        )
        for command in (["bridge"], ["worker", "print_shop.worker:worker"])
    ]
    service = ServiceProcess("print_shop.service:app", kallback_stack.restate, env=env, cwd=project)
    try:
        for process in processes:
            process.start()
        service.start()
        async with Ingress(kallback_stack.ingress_url) as ingress:
            assert await ingress.call("Documents/publish", "page.md") == "published at page.html"
            assert await ingress.call("Documents/publish", "page.txt") == "not published: page.txt is no Markdown"
    finally:
        for process in processes:
            process.kill()
        service.close()
