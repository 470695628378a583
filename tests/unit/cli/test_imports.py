"""MODULE:NAME on a command line, and packages that are not installed."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Generator
from pathlib import Path

import pytest

from kallback.cli.commands.service import load_app
from kallback.cli.commands.worker import load_worker
from kallback.cli.imports import FailedModuleError, needs_extra
from kallback.protocol import ConfigurationError, MissingExtraError

WORKER = """
from kallback.protocol import TaskType
from kallback.workers import Worker

worker = Worker("kitchen")

def make_worker():
    return Worker("kitchen")

def make_named(name):
    return Worker(name)

async def make_soon():
    return Worker("kitchen")

class Kitchen:
    pass

later = None
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Generator[Path]:
    """The current directory of the command."""
    before = set(sys.modules)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "kitchen_module.py").write_text(WORKER)
    yield tmp_path
    for name in set(sys.modules) - before:
        del sys.modules[name]


def complaint_about(target: str) -> str:
    """The sentence that refuses a worker."""
    with pytest.raises(ConfigurationError) as refused:
        load_worker(target)
    return str(refused.value)


@pytest.mark.usefixtures("folder")
def test_a_worker_is_found_by_module_and_name() -> None:
    """The module lies in the current directory."""
    assert load_worker("kitchen_module:worker").group == "kitchen"


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    ("target", "complaint"),
    [
        ("kitchen_module", "write MODULE:NAME"),
        ("no_such_module_anywhere:worker", "there is no module 'no_such_module_anywhere'"),
        ("json:loads", "json:loads is a function, not a kallback.workers.Worker"),
        ("kitchen_module:cook", "has no 'cook'; it has worker"),
        ("./kitchen_module.py:worker", "for example kitchen_module:worker"),
        ("kitchen_module.py:worker", "for example kitchen_module:worker"),
        ("src/kitchen/work.py:worker", "for example src.kitchen.work:worker"),
        ("..kitchen_module:worker", "for example kitchen_module:worker"),
        ("kitchen_module.py", "for example kitchen_module:worker"),
        (f"{Path.cwd()}/kitchen_module", "in the folder"),
        ("kitchen_module:make_worker()", "`made = make_worker()` to the module, and write kitchen_module:made"),
        ("kitchen_module:make_named", "if it makes one, call it in the module"),
        (
            "kitchen_module:make_worker",
            "is a function without parameters, not a kallback.workers.Worker: add a line such as `made = make_w",
        ),
        (
            "kitchen_module:make_soon",
            "make_soon is an async function, not a kallback.workers.Worker: make one in the module",
        ),
        ("kitchen_module:later", "kitchen_module:later is None, not a kallback.workers.Worker"),
        ("kitchen_module:Kitchen", "Kitchen is a class without parameters, not a kallback.workers.Worker"),
    ],
)
def test_a_target_that_is_no_worker_is_explained(target: str, complaint: str) -> None:
    """The sentence says which part of MODULE:NAME is wrong, and how to write it."""
    assert complaint in complaint_about(target)


def test_a_missing_import_inside_the_module_is_named(folder: Path) -> None:
    """A module that imports something missing is not called missing, even if the names begin alike."""
    (folder / "orders_worker.py").write_text("import json\nimport orders\n")
    complaint = complaint_about("orders_worker:worker")
    assert "orders_worker.py, line 2, imports 'orders', which is not installed" in complaint
    assert "there is no module" not in complaint


def test_a_missing_part_of_a_package_is_named(folder: Path) -> None:
    """The package is there, the module in it is not."""
    (folder / "shop_package").mkdir()
    (folder / "shop_package" / "__init__.py").write_text("")
    assert "there is no module 'shop_package.worker'" in complaint_about("shop_package.worker:worker")


def test_a_module_with_a_syntax_error_is_one_sentence(folder: Path) -> None:
    """File and line are enough to correct it."""
    (folder / "unclosed_kitchen.py").write_text("worker = (\n")
    complaint = complaint_about("unclosed_kitchen:worker")
    assert complaint.endswith("unclosed_kitchen.py, line 1: '(' was never closed")


def test_an_error_of_the_module_itself_is_told_with_the_frames_of_the_user(folder: Path) -> None:
    """It is the user's code that must be corrected: no frame of kallback, no value of a variable."""
    (folder / "broken_kitchen.py").write_text('def open_it():\n    password = "hunter2"\n    1 / 0\n\nopen_it()\n')
    with pytest.raises(FailedModuleError) as failed:
        load_worker("broken_kitchen:worker")
    assert str(failed.value).endswith("broken_kitchen.py, line 3: ZeroDivisionError: division by zero")
    assert failed.value.trace.count("File ") == 2
    assert "cli/imports.py" not in failed.value.trace
    assert "hunter2" not in failed.value.trace


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("from json import nothing", "line 1: ImportError: cannot import name 'nothing'"),
        ("from . import other", "line 1: ImportError: attempted relative import"),
        ("import kallback.nothing", "imports 'kallback.nothing', which does not exist"),
        ("raise SystemExit(3)", "ended the process while it was imported"),
    ],
)
def test_a_failing_line_of_the_module_is_named(folder: Path, line: str, complaint: str) -> None:
    """One sentence, with the place in the user's file."""
    (folder / "failing_kitchen.py").write_text(f"{line}\n")
    found = complaint_about("failing_kitchen:worker")
    assert complaint in found
    assert "failing_kitchen.py, line 1" in found


def test_a_package_that_an_extra_installs_is_the_command_to_type(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The module imports Restate's SDK, and only the workers' extra is there."""
    monkeypatch.setitem(sys.modules, "restate", None)
    (folder / "handler_kitchen.py").write_text("import restate\n")
    with pytest.raises(ConfigurationError, match=r"which is not installed: pip install \"kallback\[sdk\]\""):
        load_app("handler_kitchen:app")


def test_an_application_and_a_worker_name_each_other(folder: Path) -> None:
    """The command that runs what was named."""
    (folder / "handler_kitchen.py").write_text("import restate\napp = restate.app([])\n")
    assert "type `kallback service handler_kitchen:app`" in complaint_about("handler_kitchen:app")
    with pytest.raises(ConfigurationError, match="type `kallback worker kitchen_module:worker`"):
        load_app("kitchen_module:worker")


def test_a_path_elsewhere_names_the_folder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The module cannot be imported from here."""
    (folder / "below").mkdir()
    monkeypatch.chdir(folder / "below")
    for path in ("../kitchen_module.py", str(folder / "kitchen_module.py")):
        assert f"kitchen_module:worker, in the folder {folder}" in complaint_about(f"{path}:worker")


def test_a_factory_of_an_application_is_explained(folder: Path) -> None:
    """Each request would call it with three arguments."""
    (folder / "handlers_module.py").write_text("def make():\n    pass\n")
    with pytest.raises(ConfigurationError, match=r"made = make\(\)"):
        load_app("handlers_module:make")


def test_a_missing_package_is_the_command_to_type() -> None:
    """The extra, not the package."""
    sentence = r'this needs the extra bridge \(no_such_package is not installed\): pip install "kallback\[bridge\]"'
    with pytest.raises(MissingExtraError, match=sentence), needs_extra("bridge"):
        importlib.import_module("no_such_package")


def test_a_missing_module_of_kallback_keeps_its_traceback() -> None:
    """That is a defect of kallback, no command helps."""
    with pytest.raises(ModuleNotFoundError, match=r"kallback\.nothing"), needs_extra("bridge"):
        importlib.import_module("kallback.nothing")
