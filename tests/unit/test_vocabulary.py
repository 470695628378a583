"""One word per thing: identifiers use the terms of docs/glossary.md, and no class name exists twice."""

import ast
import re
import tomllib
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

PACKAGE = Path(__file__).parents[2] / "src" / "kallback"
VOCABULARY: dict[str, Any] = tomllib.loads(Path(__file__).with_name("vocabulary.toml").read_text("utf-8"))
EXCEPTIONS: dict[str, list[str]] = VOCABULARY.get("exceptions", {})
PACKAGES = sorted(path.name for path in PACKAGE.iterdir() if (path / "__init__.py").exists())

WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")


def words_of(name: str) -> str:
    """`HandOver`, `hand_over` and `_HAND_OVER` are all `hand over`."""
    return " ".join(WORD.findall(name)).lower()


def names_in(tree: ast.AST) -> Iterator[str]:
    """What a module names itself: classes, functions, arguments, variables and attributes that it assigns."""
    for node in ast.walk(tree):
        match node:
            case ast.ClassDef(name=name) | ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                yield name
            case ast.arg(arg=name) | ast.Name(id=name, ctx=ast.Store()) | ast.Attribute(attr=name, ctx=ast.Store()):
                yield name
            case _:
                pass


@cache
def modules(package: str) -> dict[Path, ast.Module]:
    """All modules of one package of kallback, below `src/kallback`."""
    paths = sorted((PACKAGE / package).rglob("*.py"))
    return {path.relative_to(PACKAGE): ast.parse(path.read_text("utf-8")) for path in paths}


@cache
def names_of(package: str) -> dict[str, set[str]]:
    """Each identifier of a package, module and folder names included, with the modules that it is in."""
    names: dict[str, set[str]] = defaultdict(set)
    for where, module in modules(package).items():
        for name in (*where.with_suffix("").parts[1:], *names_in(module)):
            names[name].add(str(where))
    return names


def contains(phrase: str, text: str) -> bool:
    """Whether the words of `phrase` stand next to each other in `text`."""
    return f" {phrase} " in f" {text} "


def replaced_words(package: str) -> dict[str, str]:
    """The words that a package does not use, each with the term in its place."""
    words: dict[str, dict[str, str]] = VOCABULARY["words"]
    return words["everywhere"] | words.get(package, {})


def words_used(package: str) -> dict[str, list[str]]:
    """The replaced words that a package uses, each with where and what to write instead."""
    used: dict[str, list[str]] = defaultdict(list)
    for name, where in names_of(package).items():
        text = words_of(name)
        for phrase in VOCABULARY["allowed"]:
            text = text.replace(phrase, "")
        for word, term in replaced_words(package).items():
            if contains(word, text):
                used[word].append(f"{name} in {', '.join(sorted(where))}: write '{term}'")
    return used


@cache
def classes_of(package: str) -> dict[str, list[str]]:
    """Each class of a package, with the modules that define it."""
    classes: dict[str, list[str]] = defaultdict(list)
    for where, module in modules(package).items():
        for node in ast.walk(module):
            if isinstance(node, ast.ClassDef):
                classes[node.name].append(str(where))
    return classes


def twice() -> dict[str, list[str]]:
    """Class names that the whole package defines more than once."""
    classes: dict[str, list[str]] = defaultdict(list)
    for package in PACKAGES:
        for name, where in classes_of(package).items():
            classes[name].extend(where)
    return {name: where for name, where in classes.items() if len(where) > 1}


@pytest.mark.parametrize("package", PACKAGES)
def test_identifiers_use_the_terms_of_the_glossary(package: str) -> None:
    """A word that vocabulary.toml replaces is in no identifier."""
    used = words_used(package)
    assert [line for word in used.keys() - EXCEPTIONS.get(package, []) for line in used[word]] == []


@pytest.mark.parametrize("package", PACKAGES)
def test_classes_use_the_terms_of_the_glossary(package: str) -> None:
    """A class name that vocabulary.toml replaces is used by no class."""
    exempt = EXCEPTIONS.get("classes", [])
    names = classes_of(package).keys() & VOCABULARY["classes"].keys()
    assert [f"{name}: write '{VOCABULARY['classes'][name]}'" for name in names - set(exempt)] == []


def test_no_class_name_exists_twice() -> None:
    """A class name means one thing in the whole package."""
    found = twice()
    assert {name: found[name] for name in found.keys() - EXCEPTIONS.get("twice", [])} == {}


def test_every_exception_is_still_needed() -> None:
    """The list of exceptions only shrinks: remove the entry whose last use is gone."""
    classes = {name for package in PACKAGES for name in classes_of(package)}
    needed = {package: set(words_used(package)) for package in PACKAGES}
    needed |= {"classes": classes & VOCABULARY["classes"].keys(), "twice": set(twice())}
    assert {key: extra for key in EXCEPTIONS if (extra := set(EXCEPTIONS[key]) - needed.get(key, set()))} == {}


@pytest.mark.parametrize("name", ["HandOver", "new_hand_over", "_HAND_OVER", "InHandOver"])
def test_every_spelling_of_a_phrase_is_found(name: str) -> None:
    """Classes, functions and constants are split into the same words."""
    assert contains("hand over", words_of(name))


def test_a_part_of_a_word_is_not_that_word() -> None:
    """`mint` is not in `minted_at`, nor `land` in `landed`."""
    assert not contains("land", words_of("island_count"))
