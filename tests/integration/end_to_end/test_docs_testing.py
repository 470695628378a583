"""The tests on real servers that the page on testing prints, in a folder with the files that it prints."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from tests.unit.testing.test_docs_testing import PAGE

from kallback.testing import Stack

pytestmark = pytest.mark.integration
FILES = dict(re.findall(r'^```\w+ title="([^"]+)"\n(.*?)^```', PAGE, re.DOTALL | re.MULTILINE))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """What a reader has."""
    for name, text in FILES.items():
        (tmp_path / name).write_text(text, "utf-8")
    program = (Path(__file__).parents[3] / "examples" / "workers" / "python" / "worker.py").read_text("utf-8")
    kitchen = program.replace('"id" not in order', '"dish" not in order').replace('{"minutes": 12}', '{"shelf": "B3"}')
    (tmp_path / "kitchen.py").write_text(kitchen, "utf-8")
    return tmp_path


def test_the_tests_of_the_page_pass(folder: Path, kallback_stack: Stack) -> None:
    """Without a warning, though the terminal has settings of another installation."""
    env = os.environ | {
        "KALLBACK_TEST_KAFKA": kallback_stack.bootstrap_servers,
        "KALLBACK_TEST_RESTATE_INGRESS": kallback_stack.ingress_url,
        "KALLBACK_TEST_RESTATE_ADMIN": kallback_stack.admin_url,
        "KALLBACK_TOPICS_PREFIX": "elsewhere.",
    }
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider"]
    ended = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout
    assert "3 passed" in ended.stdout
    assert "warning" not in (ended.stdout + ended.stderr).lower()
