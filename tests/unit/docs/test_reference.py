"""The reference is whole: headers and variables are on a page, and pages name only those that there are."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from kallback.kafka.dead_letters import reader, summaries, writer
from kallback.protocol import headers
from kallback.protocol.frameworks import conventions

ROOT = Path(__file__).parents[3]
WIRE = (ROOT / "protocol" / "README.md").read_text("utf-8")
LETTERS = (ROOT / "docs" / "dead-letters.md").read_text("utf-8")
FIGURES = (ROOT / "docs" / "performance.md").read_text("utf-8")
SOURCE = "\n".join(path.read_text("utf-8") for path in sorted((ROOT / "src").rglob("*.py")))
PAGES = [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), ROOT / "protocol" / "README.md"]
TEXT = "\n".join(path.read_text("utf-8") for path in PAGES)
NOT_HEADERS = {"kallback-problem", "kallback-reason", "kallback-cancel-secret", "kallback-bridge", "kallback-worker"}
"""Metadata of errors, a purpose of keys, names of services in traces."""


def constants(*modules: object) -> set[str]:
    """The names of headers that modules define."""
    values = [value for module in modules for name, value in vars(module).items() if name.strip("_").isupper()]
    texts = [text for value in values for text in (value if isinstance(value, tuple) else (value,))]
    return {each for each in texts if isinstance(each, str) and each.startswith(("kallback-", "kafka_", "ce_"))}


@pytest.mark.parametrize("name", sorted(constants(headers, conventions) - {headers.DEAD_REASON}))
def test_each_header_of_the_wire_is_explained(name: str) -> None:
    """Authors of workers read no source."""
    page = WIRE if name.startswith("kallback-") or f"`{name}`" in WIRE else TEXT
    assert f"`{name}`" in page or f"`{name.removeprefix('kafka_dlt')}`" in page


@pytest.mark.parametrize("name", sorted(constants(reader, writer, summaries)))
def test_each_header_of_a_dead_letter_is_explained(name: str) -> None:
    """Or, of names that are put together, what they begin with."""
    assert f"`{name}" in LETTERS


@pytest.mark.parametrize("name", sorted(set(re.findall(r"`(kallback-[a-z-]+[a-z])`", TEXT)) - NOT_HEADERS))
def test_each_header_of_a_page_is_in_the_code(name: str) -> None:
    """Whole, or behind what all headers of dead letters begin with."""
    assert f'"{name}"' in SOURCE or f'"{name.removeprefix("kallback-dead-")}"' in SOURCE


@pytest.mark.parametrize("name", sorted(set(re.findall(r'"(KALLBACK_[A-Z_]*[A-Z])"', SOURCE))))
def test_each_variable_that_is_read_is_on_a_page(name: str) -> None:
    """Those of servers for tests, too."""
    assert re.search(rf"\b{name}\b", TEXT)


@pytest.mark.parametrize(("figure", "said"), sorted(set(re.findall(r"<!-- ([\w.]+) -->([\d.,]*\d)", TEXT))))
def test_figures_of_answers_are_those_that_were_measured(figure: str, said: str) -> None:
    """`python -m benchmarks.report` writes them; after another run, the answers are written anew."""
    assert re.search(rf"^\| {re.escape(figure)} \| {re.escape(said)} \|", FIGURES, re.MULTILINE)


def test_examples_in_docstrings_are_indented() -> None:
    """Otherwise the reference runs their lines together, as those of a paragraph.

    An example that is all there is behind the first line loses its indentation: a sentence must follow it.
    """
    code = re.compile(r"^(?:\w+ = |await |async with |@\w)", re.MULTILINE)
    kinds = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    texts = [
        f"{path.name}: {ast.get_docstring(node) or ''}"
        for path in (ROOT / "src").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, kinds)
    ]
    assert [text for text in texts if code.search(text)] == []
