"""Each error has an entry in docs/errors.md and leads to it, each reason of a dead letter in docs/dead-letters.md."""

from __future__ import annotations

import inspect
import pickle
import re
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner
from scripts.site_pages import heading_anchors, row_anchors, with_row_anchors

import kallback
from kallback import documentation
from kallback.cli.app import app
from kallback.cli.dead_letters.reason_help import REASON_HELP, entry_of
from kallback.operations import InvalidCursorError, NotAnswerableError
from kallback.protocol import Problem, TaskId, Unusable, errors
from kallback.protocol.errors import KallbackError
from kallback.sdk import TaskFailed
from kallback.web import refused

ROOT = Path(__file__).parents[3]
DOCS = ROOT / "docs"
PAGE = (DOCS / "errors.md").read_text("utf-8")
SOURCES = {path: path.read_text("utf-8") for path in sorted((ROOT / "src").rglob("*.py"))}
LITERAL = re.compile(r'"(urn:kallback:[a-z-]+)"')
REFUSAL = re.compile(r'\b(?:refused|unauthorized|unavailable)\(\s*"([a-z-]+)"')
NAMED = re.compile(r"`(urn:kallback:[a-z-]+)`")
CLASSES = [each for _, each in inspect.getmembers(errors, inspect.isclass) if issubclass(each, KallbackError)]


def types() -> set[str]:
    """Every type of kallback's own that the code has: of tasks, and of refusals over HTTP."""
    written = {name for text in SOURCES.values() for name in LITERAL.findall(text)}
    made = {name for text in SOURCES.values() for name in REFUSAL.findall(text)}
    made |= {Unusable.NOT_JSON, Unusable.NOT_A_PROBLEM}  # the gateway refuses with the reason that it was given
    return written | {f"urn:kallback:{name}" for name in made}


OWN = re.compile(r"class (\w+)\(\w+\):\n(?:    (?!def )[^\n]*\n|\n)*?    has_entry = True\n")
OF_COMMANDS = sorted({name for text in SOURCES.values() for name in OWN.findall(text)})


def leads_somewhere(address: str) -> bool:
    """Whether the address of a page of the documentation names a page that is there, and an anchor on it."""
    version = ".".join(kallback.__version__.split(".")[:2])
    name, _, anchor = address.removeprefix(f"{documentation.SITE}{version}/").partition("#")
    path = ROOT / "protocol" / "README.md" if name == "wire/" else DOCS / f"{name.rstrip('/')}.md"
    text = path.read_text("utf-8") if path.exists() else ""
    return bool(text) and (not anchor or anchor in heading_anchors(text) | row_anchors(text))


def test_each_type_has_an_entry_and_each_entry_a_type() -> None:
    """With the anchor to which its errors lead."""
    entries = {f"urn:kallback:{anchor}" for anchor in row_anchors(PAGE)}
    assert sorted(types() - entries) == []
    assert sorted(set(NAMED.findall(PAGE)) - types()) == []


@pytest.mark.parametrize("name", sorted(types()))
def test_each_type_has_one_row(name: str) -> None:
    """With a cause and a remedy, or at least a cause."""
    [row] = [line for line in PAGE.splitlines() if line.startswith(f"| `{name}`")]
    assert all(cell.strip() for cell in row.strip("|").split("|"))


@pytest.mark.parametrize("name", OF_COMMANDS)
def test_each_error_of_a_command_that_says_so_has_an_entry(name: str) -> None:
    """The entry of its base would explain nothing."""
    assert leads_somewhere(documentation.error_entry(name))
    assert f"| `{name}` |" in PAGE


def test_an_error_of_a_command_leads_to_its_own_entry() -> None:
    """Not to that of `KallbackError`; one without an entry does, and a subclass leads to that of its base."""
    assert len(OF_COMMANDS) == 11
    assert NotAnswerableError("no").help == documentation.error_entry("NotAnswerableError")
    assert InvalidCursorError("no").help == documentation.error_entry("KallbackError")
    assert type("Later", (NotAnswerableError,), {})("no").help == documentation.error_entry("NotAnswerableError")


@pytest.mark.parametrize("error", CLASSES, ids=lambda each: each.__name__)
def test_each_class_of_errors_has_an_entry(error: type[KallbackError]) -> None:
    """Below the error line of a command its address is shown."""
    assert leads_somewhere(documentation.error_entry(error.__name__))
    assert f"| `{error.__name__}` |" in PAGE


@pytest.mark.parametrize("code", [0, 1, 2, 3, 130])
def test_each_exit_code_has_an_entry(code: int) -> None:
    """For supervisors."""
    assert f"exit-code-{code}" in row_anchors(PAGE)


@pytest.mark.parametrize("reason", REASON_HELP)
def test_each_reason_of_a_dead_letter_has_an_entry(reason: str) -> None:
    """`kallback dead-letters show` and the console lead to it."""
    assert leads_somewhere(entry_of(reason))


def test_a_reason_of_another_version_leads_to_the_page() -> None:
    """Where the reader sees which reasons there are."""
    assert entry_of("invented") == documentation.page_address("dead-letters")


def test_a_failed_task_says_where_its_type_is_explained() -> None:
    """In an attribute, and at the end of its traceback; also after it was pickled."""
    error = TaskFailed(
        Problem("urn:kallback:not-started", 504, "no worker"), task_type="prepare", task_id=TaskId("A" * 16)
    )
    for each in (error, pickle.loads(pickle.dumps(error))):
        assert each.help == documentation.error_entry("urn:kallback:not-started")
        assert each.__notes__ == [f"help: {each.help}"]


def test_a_failure_of_the_workers_own_has_no_entry() -> None:
    """Its author knows what it means."""
    error = TaskFailed(Problem("OutOfStock", 422, "no basil"), task_type="prepare", task_id=TaskId("A" * 16))
    assert error.help is None
    assert not hasattr(error, "__notes__")


def test_a_refusal_says_where_it_is_explained() -> None:
    """In a member of its problem object."""
    answer = refused("too-large", HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "it is too large").response
    assert msgspec.json.decode(answer.body)["help"] == documentation.error_entry("urn:kallback:too-large")


def addresses() -> Iterator[str]:
    """Every address of a page that the code makes of constants."""
    for text in SOURCES.values():
        for name, anchor in re.findall(r"page_address\(\s*[\"']([a-z-]+)[\"'](?:, [\"']([a-z-]+)[\"'])?\)", text):
            yield documentation.page_address(name, anchor)


def test_each_address_in_the_code_leads_somewhere() -> None:
    """A log line or a remedy never names a page that is gone."""
    found = sorted(set(addresses()))
    assert len(found) >= 3
    assert [each for each in found if not leads_somewhere(each)] == []


def test_help_names_pages_that_an_installation_can_open() -> None:
    """The folder docs/ is in the repository only."""
    shown = CliRunner().invoke(app, ["--help"]).output
    assert documentation.page_address("settings") in shown.replace("\n", "")
    assert "docs/" not in shown


def test_rows_that_are_no_entries_get_no_anchor() -> None:
    """Nor does a second row of the same name, nor one whose name a heading has."""
    entry = '| <span id="late"></span>`urn:kallback:late` | x |'
    table = "| type | x |\n|---|---|\n| `urn:kallback:late` | x |\n| `urn:kallback:late` | x |\n"
    assert with_row_anchors(table).splitlines()[2:] == [entry, "| `urn:kallback:late` | x |"]
    assert with_row_anchors(f"## Late\n\n{table}") == f"## Late\n\n{table}"
    assert (
        with_row_anchors("| field | x |\n|---|---|\n| `late` | x |\n") == "| field | x |\n|---|---|\n| `late` | x |\n"
    )
