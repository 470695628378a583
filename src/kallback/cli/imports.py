"""Imports that a command line asks for: optional packages, and the user's MODULE:NAME.

Both end in a sentence: a missing package in the command that installs it, a wrong MODULE:NAME in the part that is
wrong and how to write it.
"""

from __future__ import annotations

import importlib
import inspect
import os
import sys
import traceback
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, Final, cast

from kallback.protocol.errors import ConfigurationError, KallbackError, MissingExtraError


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
        raise _missing(extra, reason, error.name) from None
    except ModuleNotFoundError as error:
        if error.name is None or error.name.startswith("kallback"):
            raise
        raise _missing(extra, f"{error.name} is not installed", error.name) from None


def _missing(extra: str, reason: str, package: str | None) -> MissingExtraError:
    """Name the extra: users know the command that they typed, and not which package reads what."""
    return MissingExtraError(f'this needs the extra {extra} ({reason}): pip install "kallback[{extra}]"', name=package)


class FailedModuleError(ConfigurationError):
    """The user's module raised while it was imported.

    Attributes:
        trace: the frames of the user's code, without values of variables; empty if there is one frame only.
    """

    def __init__(self, sentence: str, trace: str) -> None:
        super().__init__(sentence)
        self.trace = trace


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetKind:
    """The kind of object that a command takes.

    Attributes:
        accepts: whether an object is of this kind.
        what: its name in a sentence: "a kallback.workers.Worker".
        example: how a target is written: "kitchen:worker".
        other_command: the command that takes such an object, if it is one of another kind.
    """

    accepts: Callable[[object], bool]
    what: str
    example: str
    other_command: Callable[[object], str | None] = lambda _: None


def load_target(target: str, kind: TargetKind) -> Any:
    """Import the object that MODULE:NAME names. The module is looked for in the current directory first.

    Raises:
        ConfigurationError: the text has another shape, the module cannot be imported, or the name is missing or
            of another kind.
    """
    module_name, name = split_target(target, what=kind.what, example=kind.example)
    module = import_module(module_name)
    found: object = getattr(module, name, None)
    if kind.accepts(found):
        return found
    raise ConfigurationError(_complaint(module, name, found, kind))


def split_target(target: str, *, what: str, example: str) -> tuple[str, str]:
    """Return module and name; what is a path, a file name or a call is refused with the right form.

    Raises:
        ConfigurationError: it is not MODULE:NAME.
    """
    module_name, colon, name = target.strip().rpartition(":")
    if not colon:
        module_name, name = name, ""
    usual_name = example.partition(":")[2]
    is_module = all(part.isidentifier() for part in module_name.split(".")) and not module_name.endswith(".py")
    if is_module and name.isidentifier():
        return module_name, name
    if not module_name or (is_module and not name):
        shown = f"{module_name}:{usual_name}" if module_name else example
        raise ConfigurationError(f"{target!r} does not name {what}: write MODULE:NAME, for example {shown}")
    if is_module:
        raise ConfigurationError(
            f"{target!r} does not name {what}: NAME must be a name in the module, not an expression; add a line such "
            f"as `made = {name}` to the module, and write {module_name}:made"
        )
    raise ConfigurationError(
        f"{module_name!r} is not a module name: write it as Python imports it, not as a path, for example "
        + _as_module(module_name, name or usual_name)
    )


def _as_module(path: str, name: str) -> str:
    """How a path is written as MODULE:NAME; where it lies elsewhere, in which folder to run the command."""
    file = Path(path.replace("\\", "/"))
    if file.suffix == ".py" or file.is_absolute() or path.startswith("../"):
        whole = Path(os.path.normpath(Path.cwd() / file))
        if not whole.is_relative_to(Path.cwd()):
            return f"{whole.stem}:{name}, in the folder {whole.parent}"
        file = whole.relative_to(Path.cwd())
    parts = str(file).removesuffix(".py").replace("/", ".").split(".")
    return f"{'.'.join(part for part in parts if part) or 'kitchen'}:{name}"


def is_module_here(name: str) -> bool:
    """Whether the current directory has a Python module or package with this name. Nothing is imported."""
    if not all(part.isidentifier() for part in name.split(".")):
        return False
    path = Path(*name.split("."))
    return path.with_name(f"{path.name}.py").is_file() or any(path.glob("*.py"))


def import_module(module_name: str) -> ModuleType:
    """Import a module of the user.

    Raises:
        ConfigurationError: it does not exist, or it raised; the sentence names the place in the user's code.
    """
    if "" not in sys.path:
        sys.path.insert(0, "")  # as `python -m` does
    try:
        return importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        raise ConfigurationError(_missing_module(module_name, error)) from None
    except SyntaxError as error:
        raise ConfigurationError(
            f"module {module_name!r} cannot be imported: correct {error.filename}, line {error.lineno}: {error.msg}"
        ) from None
    except KallbackError:
        raise
    except SystemExit as error:
        raise ConfigurationError(
            f"module {module_name!r} ended the process while it was imported ({_place_of(error)}): put that line below "
            '`if __name__ == "__main__":`'
        ) from None
    except Exception as error:  # noqa: BLE001 - the user's module may raise anything
        raise _failed(module_name, error) from None


def _missing_module(module_name: str, error: ModuleNotFoundError) -> str:
    missing = error.name or ""
    if module_name == missing or module_name.startswith(f"{missing}."):
        return (
            f"there is no module {missing!r} in {Path.cwd()} or on Python's path: run the command in the folder "
            "that holds it, or install it"
        )
    place = f"module {module_name!r} cannot be imported: {_place_of(error)}, imports {missing!r}, which"
    if missing.startswith("kallback."):
        return f"{place} does not exist"
    extra = _EXTRAS.get(missing.partition(".")[0])
    return f"{place} is not installed" + ("" if extra is None else f': pip install "kallback[{extra}]"')


_EXTRAS: Final = {"restate": "sdk", "aiokafka": "workers", "confluent_kafka": "bridge", "hypercorn": "service"}
"""What installs a package that the user's module imports itself."""


def _failed(module_name: str, error: Exception) -> FailedModuleError:
    frames = _frames_of(error)
    said = "".join(traceback.format_exception_only(error)).strip().splitlines()[-1]
    return FailedModuleError(
        f"module {module_name!r} cannot be imported: {_place_of(error)}: {said}",
        "".join(traceback.format_list(frames)) if len(frames) > 1 else "",
    )


def _place_of(error: BaseException) -> str:
    """The last file and line in the user's code."""
    frames = _frames_of(error)
    return f"{frames[-1].filename}, line {frames[-1].lineno}" if frames else "it"


def _frames_of(error: BaseException) -> list[traceback.FrameSummary]:
    """The frames without those of the import system and of kallback, which are no help."""
    own = str(Path(__file__).parents[1])
    return [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if "importlib" not in frame.filename and not frame.filename.startswith((own, "<frozen"))
    ]


def _complaint(module: ModuleType, name: str, found: object, kind: TargetKind) -> str:
    place = f"{module.__name__}:{name}"
    if name not in vars(module) and found is None:
        fitting = sorted(key for key, each in vars(module).items() if kind.accepts(each) and not key.startswith("_"))
        there = f"; it has {', '.join(fitting)}" if fitting and len(fitting) <= 5 else ""  # noqa: PLR2004 - a list to choose from, not to search
        return f"module {module.__name__!r} has no {name!r}{there}: NAME must be {kind.what}"
    if (command := kind.other_command(found)) is not None:
        return f"{place} is not {kind.what}: to run it, type `kallback {command} {place}`"
    if inspect.iscoroutinefunction(found):
        return f"{place} is an async function, not {kind.what}: make one in the module without await, and name that"
    if inspect.isfunction(found) and not is_factory(found):
        return f"{place} is a function, not {kind.what}: if it makes one, call it in the module, and name the result"
    if is_factory(found):
        thing = "class" if inspect.isclass(found) else "function"
        return (
            f"{place} is a {thing} without parameters, not {kind.what}: add a line such as "
            f"`made = {name}()` to the module, and name {module.__name__}:made"
        )
    return f"{place} is {'None' if found is None else f'a {type(found).__name__}'}, not {kind.what}"


def is_made_by(found: object, package: str) -> bool:
    """Whether an object, or its class, comes from a package; the package need not be installed."""
    names = (getattr(found, "__module__", None), type(found).__module__)
    return any(isinstance(name, str) and f"{name}.".startswith(f"{package}.") for name in names)


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
