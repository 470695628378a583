"""Imports that a command line asks for: optional packages, and the user's MODULE:NAME.

Both end in a sentence: a missing package in the command that installs it, a wrong MODULE:NAME in the part that is
wrong and how to write it.
"""

from __future__ import annotations

import importlib
import inspect
import sys
import traceback
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any, cast

from kallback.protocol.errors import ConfigurationError, MissingExtraError


@contextmanager
def needs_extra(extra: str) -> Generator[None]:
    """Turn a failing import inside the block into the command that installs the extra.

    Raises:
        MissingExtraError: a package of the extra is not installed.
    """
    try:
        yield
    except MissingExtraError as error:  # it names an extra that this one includes
        reason, _, _ = str(error).partition(": pip install")
        raise MissingExtraError(f'{reason}: pip install "kallback[{extra}]"', name=error.name) from None
    except ModuleNotFoundError as error:
        if error.name is None or error.name.startswith("kallback"):
            raise
        raise MissingExtraError(
            f'{error.name} is not installed: pip install "kallback[{extra}]"', name=error.name
        ) from None


def load_target(target: str, accepts: Callable[[object], bool], *, what: str, example: str) -> Any:
    """Import the object that MODULE:NAME names. The module is looked for in the current directory first.

    Args:
        target: the text of the command line.
        accepts: whether an object is of the right kind.
        what: the kind of object, for the sentence: "a kallback.workers.Worker".
        example: how a target is written: "kitchen:worker".

    Raises:
        ConfigurationError: the text has another shape, the module cannot be imported, or the name is missing or
            of another kind.
    """
    module_name, colon, name = target.partition(":")
    if not (module_name and colon and name):
        raise ConfigurationError(f"{target!r} does not name {what}: write MODULE:NAME, for example {example}")
    _check_module_name(module_name, name)
    module = _import(module_name)
    found: object = getattr(module, name, None)
    if accepts(found):
        return found
    raise ConfigurationError(_complaint(module, name, found, accepts, what))


def _check_module_name(module_name: str, name: str) -> None:
    """Refuse what is a path, a file name or a relative import."""
    if all(part.isidentifier() for part in module_name.split(".")) and not module_name.endswith(".py"):
        return
    parts = module_name.replace("\\", "/").removesuffix(".py").replace("/", ".").split(".")
    dotted = ".".join(part for part in parts if part)
    raise ConfigurationError(
        f"{module_name!r} is not a module name: write it as Python imports it, not as a path, for example "
        f"{dotted or 'kitchen'}:{name}"
    )


def _import(module_name: str) -> ModuleType:
    if "" not in sys.path:
        sys.path.insert(0, "")  # as `python -m` does
    try:
        return importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        missing = error.name or ""
        if module_name == missing or module_name.startswith(f"{missing}."):
            raise ConfigurationError(
                f"there is no module {missing!r} in {Path.cwd()} or on Python's path: run the command in the folder "
                "that holds it, or install it"
            ) from None
        raise ConfigurationError(
            f"module {module_name!r} cannot be imported: {_place_of(error)} imports {missing!r}, which is not installed"
        ) from None
    except SyntaxError as error:
        raise ConfigurationError(
            f"module {module_name!r} cannot be imported: correct {error.filename}, line {error.lineno}: {error.msg}"
        ) from None


def _place_of(error: BaseException) -> str:
    """The file and line of the import statement that failed; importlib's own frames are no help."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if "importlib" not in frame.filename]
    return f"{frames[-1].filename}, line {frames[-1].lineno}," if frames else "it"


def _complaint(module: ModuleType, name: str, found: object, accepts: Callable[[object], bool], what: str) -> str:
    if found is None:
        fitting = sorted(key for key, value in vars(module).items() if accepts(value) and not key.startswith("_"))
        there = f"; it has {', '.join(fitting)}" if fitting and len(fitting) <= 5 else ""  # noqa: PLR2004 - a list to choose from, not to search
        return f"module {module.__name__!r} has no {name!r}{there}: NAME must be {what}"
    if is_factory(found):
        return (
            f"{module.__name__}:{name} is a function without parameters, not {what}: add a line such as "
            f"`made = {name}()` to the module, and name {module.__name__}:made"
        )
    return f"{module.__name__}:{name} is a {type(found).__name__}, not {what}"


def is_factory(found: object) -> bool:
    """Whether this is a function (or class) that can be called without arguments."""
    if not (inspect.isfunction(found) or inspect.isclass(found)):
        return False
    try:
        parameters = inspect.signature(cast("Callable[..., object]", found)).parameters.values()
    except (TypeError, ValueError):
        return False
    optional = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return all(each.default is not each.empty or each.kind in optional for each in parameters)
