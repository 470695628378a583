"""The files of a new project, and writing them. They are those of examples/starter, which the wheel carries."""

from __future__ import annotations

import keyword
import re
import sys
from pathlib import Path
from typing import Final

from kallback import __version__
from kallback.documentation import SITE, page_address
from kallback.protocol.errors import ConfigurationError

_NAME: Final = re.compile(r"[a-z][a-z0-9]*(?:[-_][a-z0-9]+)*", re.ASCII)
_LONGEST: Final = 40
_TAKEN: Final = frozenset({"aiokafka", "confluent_kafka", "kallback", "pytest", "restate", "tests"})
"""Packages that the project, or what it imports, could not import any more."""
_STARTER: Final = "starter"
_NAMED: Final = re.compile(
    rf'{_STARTER}(?=\.convert|:latest)|(?<=Worker\("){_STARTER}(?="\))|(?<=^# ){_STARTER}$', re.MULTILINE
)
"""Where the starter's name is no Python package: its topic, image, worker and title."""
_PIN: Final = re.compile(r"(?<=\]>=)[\w.]+")
_PAGE: Final = re.compile(rf"{re.escape(SITE)}latest/([\w-]+)/")
"""The project keeps the pages of the version that wrote it, as its errors lead to them."""
_IGNORED: Final = frozenset({".git", ".venv"})


def check_name(name: str) -> None:
    """Check the name of a project.

    Raises:
        ConfigurationError: it cannot be one of a Python package and of a Kafka topic.
    """
    if _NAME.fullmatch(name) is None or len(name) > _LONGEST:
        raise ConfigurationError(
            f"{name!r} cannot name a project: use up to {_LONGEST} lower-case letters, digits and single hyphens, "
            "beginning with a letter, such as print-shop"
        )
    package = package_of(name)
    if keyword.iskeyword(package) or package in sys.stdlib_module_names or package in _TAKEN:
        raise ConfigurationError(f"{name!r} is the name of another Python package, or a word of Python: choose another")


def package_of(name: str) -> str:
    """Return the name of the project's Python package."""
    return name.replace("-", "_")


def project_files(name: str) -> dict[str, str]:
    """Return the texts of a project's files by their paths."""
    folder = _starter()
    paths = sorted(path for path in folder.rglob("*") if path.is_file() and not _is_made(path.relative_to(folder)))
    return {_named(str(path.relative_to(folder)), name): _named(path.read_text("utf-8"), name) for path in paths}


def write_project(name: str, folder: Path) -> list[str]:
    """Write a project, and return the paths of its files.

    Raises:
        ConfigurationError: the folder is not empty, or cannot be written.
    """
    files = project_files(name)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        there = sorted(path.name for path in folder.iterdir() if path.name not in _IGNORED)
        if there:
            raise ConfigurationError(f"{folder} is not empty ({there[0]}): name an empty folder with --folder")
        for path, text in files.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text(text, "utf-8")
    except OSError as error:
        raise ConfigurationError(
            f"{folder} cannot be written ({error.strerror}): name another one with --folder"
        ) from None
    return list(files)


def _named(text: str, name: str) -> str:
    named = _PIN.sub(__version__, _NAMED.sub(name, text).replace(_STARTER, package_of(name)))
    return _PAGE.sub(lambda page: page_address(page[1]), named)


def _is_made(path: Path) -> bool:
    return any(part.startswith("__pycache__") or part.endswith("_cache") for part in path.parts)


def _starter() -> Path:
    """The wheel carries the project; a checkout has it at its top."""
    here = Path(__file__).parent
    in_wheel = here / _STARTER
    return in_wheel if in_wheel.is_dir() else here.parents[3] / "examples" / _STARTER
