"""`kallback contract`: files, reports and exit codes."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Generator
from pathlib import Path
from typing import Final

import pytest
import yaml
from click.testing import CliRunner, Result

from kallback.cli.contracts.commands import contract
from kallback.cli.contracts.task_types import named_task_types
from kallback.protocol import ConfigurationError

TASKS: Final = """
from dataclasses import dataclass
from kallback.protocol import TaskType
from kallback.workers import Worker

@dataclass
class Order:
    id: str
    {more}

prepare = TaskType("restaurant.prepare", request=Order, result=None)
serve = TaskType("restaurant.serve", request=Order, result=str)
both = [prepare, serve]
nothing = []
worker = Worker("kitchen")

@worker.task(prepare)
async def cook(order: Order) -> None: ...
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Generator[Path]:
    """A folder with a module of task types, in which the command runs."""
    (tmp_path / "kitchen_tasks.py").write_text(TASKS.format(more=""))
    (tmp_path / "kitchen_new.py").write_text(TASKS.format(more="table: int"))
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    for name in ("kitchen_tasks", "kitchen_new"):
        sys.modules.pop(name, None)


def run(*arguments: str) -> Result:
    """The command."""
    return CliRunner().invoke(contract, arguments)


def refusal(*arguments: str) -> str:
    """The sentence in which the command ends."""
    error = run(*arguments).exception
    assert isinstance(error, ConfigurationError)
    return str(error)


def exported(*targets: str) -> set[str]:
    """The task types of a contract."""
    found = json.loads(run("export", *targets, "--json").stdout)
    return {name for name, operation in found["operations"].items() if "reply" in operation}


def test_yaml_and_json_say_the_same(folder: Path) -> None:
    """On standard output and in a file, whose name decides."""
    printed = run("export", "kitchen_tasks")
    assert printed.exit_code == 0, printed.output
    for arguments in (["--output", "a/contract.yaml"], ["--output", "contract.json"]):
        assert run("export", "kitchen_tasks", *arguments).exit_code == 0
    assert (folder / "a/contract.yaml").read_text() == printed.stdout
    whole = yaml.safe_load(printed.stdout)
    assert json.loads((folder / "contract.json").read_text()) == whole
    assert json.loads(run("export", "kitchen_tasks", "--json").stdout) == whole
    assert "&" not in printed.stdout  # no references of YAML


@pytest.mark.parametrize(
    ("targets", "types"),
    [
        (["kitchen_tasks"], {"restaurant.prepare", "restaurant.serve"}),
        (["kitchen_tasks:both"], {"restaurant.prepare", "restaurant.serve"}),
        (["kitchen_tasks:prepare,serve"], {"restaurant.prepare", "restaurant.serve"}),
        (["kitchen_tasks:prepare", "kitchen_tasks:serve"], {"restaurant.prepare", "restaurant.serve"}),
        (["kitchen_tasks:serve"], {"restaurant.serve"}),
        (["kitchen_tasks:worker"], {"restaurant.prepare"}),
    ],
)
def test_a_target_names_a_module_types_or_a_worker(targets: list[str], types: set[str]) -> None:
    """One type, a list of them, or all that a module or a worker has."""
    assert exported(*targets) == types


@pytest.mark.parametrize(
    ("target", "sentence"),
    [
        ("kitchen_tasks.py", "is not a module name"),
        ("absent", "there is no module 'absent'"),
        ("json", "has no task type"),
        ("kitchen_tasks:absent", "there is no kitchen_tasks:absent"),
        ("kitchen_tasks:Order", "is not a TaskType"),
        ("kitchen_tasks:nothing", "is not a TaskType"),
        ("kitchen_tasks:prepare()", "must be a name"),
    ],
)
def test_a_wrong_target_is_a_sentence(target: str, sentence: str) -> None:
    """It says what to write."""
    assert sentence in refusal("export", target)


def test_schemas_are_files_and_those_of_types_that_are_gone_are_removed(folder: Path) -> None:
    """Files that the command did not write stay."""
    assert "--output" in refusal("export", "kitchen_tasks", "--format", "schemas")
    (folder / "schemas").mkdir()
    (folder / "schemas/mine.json").write_text("{}")
    for target in ("kitchen_tasks", "kitchen_tasks:serve"):
        assert run("export", target, "--format", "schemas", "--output", "schemas").exit_code == 0
    assert sorted(path.name for path in (folder / "schemas").iterdir()) == [
        "cancel.json",
        "mine.json",
        "problem.json",
        "progress-details.json",
        "restaurant.serve.request.json",
        "restaurant.serve.result.json",
    ]


def test_a_file_that_cannot_be_written_is_a_sentence(folder: Path) -> None:
    """Such as one in a folder that is a file."""
    (folder / "taken").write_text("")
    assert "cannot write" in refusal("export", "kitchen_tasks", "--output", "taken/contract.yaml")


def test_the_prefix_of_the_environment_is_in_the_contract(monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers answer to the topics of an environment."""
    monkeypatch.setenv("KALLBACK_TOPICS_PREFIX", "team-a.")
    assert "team-a.results" in json.loads(run("export", "kitchen_tasks", "--json").stdout)["channels"]


def export_both() -> None:
    """Write the contracts of the two modules."""
    for name in ("tasks", "new"):
        assert run("export", f"kitchen_{name}", "--output", f"{name}.yaml").exit_code == 0


def test_a_difference_is_a_line_and_exit_code_1() -> None:
    """With who breaks and who goes first; 0 if nothing breaks."""
    export_both()
    same, changed = run("diff", "tasks.yaml", "tasks.yaml"), run("diff", "tasks.yaml", "new.yaml")
    assert (same.exit_code, same.stdout) == (0, "")
    assert changed.exit_code == 1
    assert "restaurant.prepare: request.table" in changed.stdout
    assert "(breaks workers with the new contract)" in changed.stdout
    assert "→ Deploy all services first." in changed.stdout


def test_findings_are_objects_for_programs() -> None:
    """One each line."""
    export_both()
    found = [json.loads(line) for line in run("diff", "--json", "tasks.yaml", "new.yaml").stdout.splitlines()]
    breaking = [each for each in found if each["severity"] == "breaking"]
    assert [(each["task_type"], each["member"], each["first"]) for each in breaking] == [
        ("restaurant.prepare", "request.table", "services"),
        ("restaurant.serve", "request.table", "services"),
    ]


@pytest.mark.parametrize("text", ["", "{", "- a: [", "a: &x [*x]", "{}", "[" * 5_000, "\x00", "x-kallback-contract: 1"])
def test_a_file_that_is_no_contract_is_a_sentence(text: str, folder: Path) -> None:
    """Whatever it holds, and on either side."""
    export_both()
    (folder / "odd.yaml").write_text(text)
    for arguments in (["odd.yaml", "new.yaml"], ["new.yaml", "odd.yaml"]):
        assert "odd.yaml" in refusal("diff", *arguments)


def test_a_worker_is_checked_against_a_contract() -> None:
    """A missing function and a member that does not fit are exit code 1; `--type` leaves the others out."""
    export_both()
    missing = run("check", "tasks.yaml", "kitchen_tasks:worker")
    assert (missing.exit_code, "restaurant.serve" in missing.stdout) == (1, True)
    assert run("check", "tasks.yaml", "kitchen_tasks:worker", "--type", "restaurant.prepare").exit_code == 0
    odd = run("check", "tasks.yaml", "kitchen_new:worker", "--type", "restaurant.prepare")
    assert (odd.exit_code, "request.table" in odd.stdout) == (1, True)
    assert "has no task type 'absent'" in refusal("check", "tasks.yaml", "kitchen_new:worker", "--type", "absent")
    assert "not a kallback.workers.Worker" in refusal("check", "tasks.yaml", "kitchen_new:prepare")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("a: &a [x, x]\nb: [*a, *a]\n", r"reference \*a"),
        ("a: " + "[" * 100_000 + "]" * 100_000, "nested too deep"),
        ("{" + "{a: " * 300 + "}" * 300 + "}", "not JSON"),
        ("!!python/object/apply:os.abort []", "not YAML"),
        ("a: !!set {b, c}", "not YAML"),
    ],
)
def test_yaml_that_takes_all_memory_or_the_stack_is_refused(folder: Path, text: str, sentence: str) -> None:
    """References of YAML multiply what they stand for, and its parser in C has no limit of depth."""
    (folder / "hostile.yaml").write_text(text)
    assert re.search(sentence, refusal("diff", "hostile.yaml", "hostile.yaml"))


def test_a_task_type_on_a_topic_of_kallback_has_no_contract(folder: Path) -> None:
    """The document has one channel for a topic, and that of the task would be missing."""
    text = "from kallback.protocol import TaskType\nt = TaskType('t', int, int, topic='kallback.control')"
    (folder / "on_control.py").write_text(text)
    assert "kallback.control, which is a topic of kallback's own" in refusal("export", "on_control")


@pytest.mark.parametrize(
    "schema",
    [
        "text",
        {"properties": {"id": 5}},
        {"anyOf": {"type": "string"}},
        {"items": ["text"]},
        {"required": [["id"]]},
        {"type": "string", "maxLength": "3"},
        {"type": 5},
        {"$ref": 5},
    ],
)
def test_a_contract_with_a_damaged_schema_is_a_sentence(folder: Path, schema: object) -> None:
    """It was edited by hand, and a comparison cannot go on with it."""
    document = json.loads(run("export", "kitchen_tasks", "--json").stdout)
    document["components"]["schemas"]["restaurant.prepare.request"] = schema
    (folder / "damaged.json").write_text(json.dumps(document))
    assert "restaurant.prepare.request has no JSON Schema" in refusal("diff", "damaged.json", "damaged.json")


def test_types_are_found_by_their_names() -> None:
    """Also when several modules import one of them."""
    assert set(named_task_types(["kitchen_tasks", "kitchen_tasks:prepare"])) == {
        "restaurant.prepare",
        "restaurant.serve",
    }
    assert named_task_types([]) == {}


def test_two_types_of_one_name_are_refused() -> None:
    """Nothing says which one counts."""
    with pytest.raises(ConfigurationError, match=r"two task types restaurant\.prepare"):
        named_task_types(["kitchen_tasks:prepare", "kitchen_new:prepare"])


def test_a_type_that_only_awakeables_use_is_no_work_for_workers(folder: Path) -> None:
    """It is left out, which is said; alone it has no contract."""
    approve = 'approve = TaskType("restaurant.approve", request=None, result=bool, awakeable_only=True)\n'
    (folder / "kitchen_asks.py").write_text(TASKS.format(more="") + approve)

    result = run("export", "kitchen_asks", "--json")

    assert result.exit_code == 0
    assert "restaurant.approve" not in result.stdout
    assert "restaurant.approve" in result.stderr
    assert "awakeable_only" in refusal("export", "kitchen_asks:approve")
    assert set(named_task_types(["kitchen_asks"])) == {"restaurant.prepare", "restaurant.serve", "restaurant.approve"}
