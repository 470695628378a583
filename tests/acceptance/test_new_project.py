"""What `kallback new` writes, run as its README says."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from tests.acceptance.conftest import Installation

from kallback.cli.new.project import write_project
from kallback.testing.clients.restate import Ingress

pytestmark = pytest.mark.acceptance


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
    assert "warning" not in (ended.stdout + ended.stderr).lower()


async def test_it_answers_a_call(project: Path, installation: Installation) -> None:
    """Service, worker and bridge, each as its own process."""
    installation.run(project, "print_shop.service:app", "print_shop.worker:worker", "print-shop.convert")
    async with Ingress(installation.env["KALLBACK_RESTATE_INGRESS_URL"]) as ingress:
        assert await ingress.call("Documents/publish", "page.md") == "published at page.html"
        assert await ingress.call("Documents/publish", "page.txt") == "not published: page.txt is no Markdown"
