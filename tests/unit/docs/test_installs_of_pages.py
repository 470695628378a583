"""What a page tells its reader to install and to type is enough for its code, and nothing warns."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from tests.unit.docs.test_code_of_pages import BEFORE, blocks

from kallback.cli.new.project import project_files

ROOT = Path(__file__).parents[3]
PAGES = sorted((ROOT / "docs").glob("*.md"))
PYTHON = re.compile(r"^```python([^\n]*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
IMPORT = re.compile(r"^\s*(?:from|import) (\w+)", re.MULTILINE)
INSTALLED = re.compile(r"pip install ([^`\n]*)")
INI = re.compile(r'^```ini title="pytest\.ini"\n(.*?)^```$', re.DOTALL | re.MULTILINE)
COMMAND = re.compile(r"^(?:KALLBACK_INSECURE=1 )?pytest$", re.MULTILINE)
WITH_TESTS = ("from-celery", "from-temporal")
OF_READERS = {"handler", "orders", "print_shop", "service", "shared", "stoppable", "tasks", "worker"}
"""Modules that the pages themselves show."""
COMES_AS = {"azure": "azure-identity", "aws_msk_iam_sasl_signer": "aws-msk-iam-sasl-signer-python"}


def own_packages() -> set[str]:
    """What comes with the extras of kallback, as it is imported."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    required = [*project["dependencies"], *project["optional-dependencies"]["sdk"]]
    names = {re.split(r"[^A-Za-z0-9-]", each)[0].replace("-", "_") for each in required}
    return {*names, "kallback", "restate"}


def imported(page: str) -> set[str]:
    """The packages that the code of a page imports; not those of code that it replaces."""
    codes = [code for options, code in PYTHON.findall(page) if BEFORE not in options]
    return {name for code in codes for name in IMPORT.findall(code)} - sys.stdlib_module_names


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_a_page_says_how_to_install_what_its_code_imports(path: Path) -> None:
    """Beside kallback, and the modules that it shows."""
    page = path.read_text("utf-8")
    commands = " ".join(INSTALLED.findall(page))
    missing = {
        name
        for name in imported(page) - own_packages() - OF_READERS
        if COMES_AS.get(name, name.replace("_", "-")) not in commands
    }
    assert missing == set()


def test_the_pages_install_for_tests_what_a_new_project_does() -> None:
    """Whichever a reader follows, the other's commands work as well."""
    required = {re.split(r"[>=]", line)[0] for line in project_files("shop")["requirements-dev.txt"].splitlines()}
    for page in ("tutorial", "testing"):
        first = INSTALLED.findall((ROOT / "docs" / f"{page}.md").read_text("utf-8"))[0]
        assert set(first.replace('"', "").split()) == required


def test_a_new_project_has_the_configuration_of_the_pages() -> None:
    """Two lines, without which tests are skipped, or warn."""
    written = project_files("shop")["pytest.ini"].splitlines()
    for page in (*WITH_TESTS, "testing"):
        [ini] = INI.findall((ROOT / "docs" / f"{page}.md").read_text("utf-8"))
        assert set(ini.splitlines()) <= set(written)


@pytest.mark.parametrize("page", WITH_TESTS)
def test_the_command_of_a_page_runs_its_tests(page: str, tmp_path: Path) -> None:
    """With its files, in an empty folder, without a warning."""
    text = (ROOT / "docs" / f"{page}.md").read_text("utf-8")
    [ini] = INI.findall(text)
    (tmp_path / "pytest.ini").write_text(ini, "utf-8")
    for title, code in blocks(page).items():
        if not title.startswith(BEFORE):
            (tmp_path / title).write_text(code, "utf-8")
    [command] = COMMAND.findall(text)
    env = os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    shell = ["bash", "-c", f"{command} -p no:cacheprovider"]
    ended = subprocess.run(shell, cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "warning" not in (ended.stdout + ended.stderr).lower()
