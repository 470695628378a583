"""What a release consists of: the sdist has all that its tests read, the wheel has the package and nothing else."""

import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LINKS = {"bridge", "sdk", "workers"}  # to the roles, for readers of the repository


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the sdist and the wheel of this tree."""
    folder = tmp_path_factory.mktemp("dist")
    subprocess.run(
        [Path(sys.executable).with_name("hatchling"), "build", "-d", folder], cwd=ROOT, check=True, timeout=280
    )
    return folder


@pytest.fixture(scope="module")
def unpacked(dist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sdist's content."""
    folder = tmp_path_factory.mktemp("unpacked")
    with tarfile.open(next(dist.glob("*.tar.gz"))) as sdist:
        sdist.extractall(folder, filter="data")
    return next(folder.iterdir())


@pytest.fixture(scope="module")
def wheel(dist: Path) -> list[str]:
    """The names of the files in the wheel."""
    with zipfile.ZipFile(next(dist.glob("*.whl"))) as archive:
        return archive.namelist()


def test_the_sdist_has_every_file_of_the_repository_but_the_links(unpacked: Path) -> None:
    """Whatever is under version control is in the sdist."""
    if not (ROOT / ".git").exists():
        pytest.skip("this tree is no checkout, so there is no list to compare with")
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    tracked = {name for name in listed.split("\0") if name} - LINKS
    assert sorted(name for name in tracked if (ROOT / name).exists() and not (unpacked / name).exists()) == []


def test_the_unit_tests_of_the_sdist_can_be_collected(unpacked: Path) -> None:
    """A packager who unpacks the sdist can run its unit tests."""
    collected = subprocess.run(
        [sys.executable, "-m", "pytest", "--collect-only", "-q", "tests/unit"],
        cwd=unpacked,
        env={**os.environ, "PYTHONPATH": str(unpacked / "src")},
        capture_output=True,
        text=True,
        check=False,
        timeout=280,
    )
    assert collected.returncode == 0, collected.stdout[-2000:]


def test_the_wheel_has_the_package_alone(wheel: list[str]) -> None:
    """Neither tests nor links are installed."""
    assert {name.split("/")[0] for name in wheel if ".dist-info/" not in name} == {"kallback"}


def test_the_wheel_has_the_modules_of_the_package_and_its_types(wheel: list[str]) -> None:
    """Each module is installed once, with the example of `kallback dev`; type checkers read the annotations."""
    package = ROOT / "src" / "kallback"
    modules = {str(path.relative_to(package.parent)) for path in package.rglob("*.py")}
    examples = {
        f"kallback/cli/new/{path.relative_to(ROOT / 'examples')}"
        for path in (ROOT / "examples" / "starter").rglob("*.py")
    }
    examples |= {
        f"kallback/testing/dev/quickstart/{path.name}" for path in (ROOT / "examples" / "quickstart").glob("*.py")
    }
    assert sorted(name for name in wheel if name.endswith(".py")) == sorted(modules | examples)
    assert "kallback/py.typed" in wheel
