"""The import contracts of pyproject.toml bite: a violated one is seen to fail."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def lint(tree: Path) -> subprocess.CompletedProcess[str]:
    """Check the contracts of a copy of the package."""
    return subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-cache"],
        cwd=tree,
        env={**os.environ, "PYTHONPATH": str(tree / "src")},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A copy of the package, to be spoiled."""
    shutil.copytree(ROOT / "src", tmp_path / "src", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("package", "line", "contract"),
    [
        ("workers", "import restate", "Only sdk imports restate"),
        ("bridge", "import confluent_kafka", "Only kafka imports a Kafka client"),
        ("bridge", "import kallback.sdk", "Arrows point one way"),
        ("protocol", "import time", "The wire is pure"),
        ("kafka", "import kallback.protocol.tokens", "kafka knows nothing of tasks"),
    ],
)
def test_a_violated_contract_fails(tree: Path, package: str, line: str, contract: str) -> None:
    """One import in the wrong place breaks the contract that forbids it."""
    (tree / "src" / "kallback" / package / "trespasser.py").write_text(f"{line}\n")
    result = lint(tree)
    assert result.returncode != 0
    assert f"{contract} BROKEN" in result.stdout


def test_the_tree_keeps_its_contracts(tree: Path) -> None:
    """Without a trespasser all is well, so the failures above are the trespasser's."""
    assert lint(tree).returncode == 0
