"""What a project that `kallback new` wrote has become: its topics and handlers, read from its source."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NamedTuple

from kallback.testing.dev.programs import Application

_CALL: Final = re.compile(r"^curl \S*INGRESS_URL\S*?/(\w+/\S+? --json .+)$", re.MULTILINE)
_ANY_CALL: Final = "SERVICE/HANDLER --json 'REQUEST'"
_EXAMPLE_CALL: Final = "Orders/place --json '\"Pizza\"'"
_MODULES: Final = ("tasks", "service", "worker")
_SERVICE_KINDS: Final = {"Service": "", "VirtualObject": "KEY/", "Workflow": "KEY/"}
_MAIN: Final = "main"
_HANDLER_MARKS: Final = frozenset({"handler", _MAIN})
_BY_HAND: Final = "awakeable"
"""The method of `Callbacks` whose answers come from people: no worker does such a task, and no topic has it."""
_AWAKEABLE_ONLY: Final = "awakeable_only"
"""The mark of a task type that says so."""


@dataclass(frozen=True, slots=True)
class ProjectNames:
    """A project as `kallback new` writes it, with what its author has made of it since.

    Attributes:
        folder: where commands are typed.
        package: that has the modules `tasks`, `service` and `worker`.
        topics: of the task types that workers do.
        call: a handler and a request, from its README if that handler is still there.
    """

    folder: Path
    package: str
    topics: tuple[str, ...]
    call: str

    @property
    def application(self) -> Application:
        """What `kallback dev` can run of it."""
        service, worker = f"{self.package}.service:app", f"{self.package}.worker:worker"
        return Application((service,), (worker,), (f"{self.package}.tasks",))


def project_in(folder: Path) -> ProjectNames | None:
    """Return the project in a folder, or in the only folder in it that has one; None without one."""
    for pattern in ("*/worker.py", "*/*/worker.py"):
        packages = [path.parent for path in folder.glob(pattern) if _is_project(path.parent)]
        if packages:
            return _names(packages[0]) if len(packages) == 1 else None
    return None


def call_of(handlers: tuple[str, ...], folder: Path) -> str:
    """Return what to call: what the README of a folder calls if it is among the handlers, else the first of these.

    Args:
        handlers: their paths; with KEY for the key of an object.
        folder: of the project.
    """
    for call in [*_CALL.findall(_text(folder / "README.md")), _EXAMPLE_CALL]:
        path = call.partition(" ")[0].split("/")
        if any((path[0], path[-1]) == (each.split("/")[0], each.split("/")[-1]) for each in handlers):
            return str(call)
    return f"{handlers[0]} --json 'REQUEST'" if handlers else _ANY_CALL


def _is_project(package: Path) -> bool:
    return package.name.isidentifier() and all((package / f"{name}.py").is_file() for name in _MODULES)


def _names(package: Path) -> ProjectNames:
    found = _Findings()
    for path in sorted(package.rglob("*.py")):
        found.read(_text(path))
    return ProjectNames(package.parent, package.name, found.topics, call_of(found.handlers, package.parent))


def _text(path: Path) -> str:
    return path.read_text("utf-8", "replace") if path.is_file() else ""


class _Mark(NamedTuple):
    """A handler: the variable of its service, its name, and whether it is the main one of a workflow."""

    service: str
    handler: str
    is_main: bool


@dataclass(slots=True)
class _Findings:
    """What the modules of a package declare and use."""

    _topics: dict[str, str] = field(default_factory=dict[str, str])
    _services: dict[str, str] = field(default_factory=dict[str, str])
    _marked: list[_Mark] = field(default_factory=list["_Mark"])
    _by_hand: set[str] = field(default_factory=set[str])
    _otherwise: set[str] = field(default_factory=set[str])

    @property
    def topics(self) -> tuple[str, ...]:
        """Topics of the task types, but for those that only people answer."""
        only_by_hand = self._by_hand - self._otherwise
        return tuple(dict.fromkeys(topic for name, topic in self._topics.items() if name not in only_by_hand))

    @property
    def handlers(self) -> tuple[str, ...]:
        """Paths of the handlers, service by service as they are declared, the main handler of a workflow first."""
        own = [each for each in self._marked if each.service in self._services]
        first = {each.service: number for number, each in reversed(list(enumerate(own)))}
        own.sort(key=lambda each: (first[each.service], not each.is_main))
        return tuple(f"{self._services[each.service]}{each.handler}" for each in own)

    def read(self, source: str) -> None:
        """Read one module; one that is no Python, because it is being edited, has nothing."""
        try:
            tree = ast.parse(source)
        except (SyntaxError, ValueError):
            return
        for node in ast.walk(tree):
            if isinstance(node, ast.Assign | ast.AnnAssign) and isinstance(node.value, ast.Call):
                self._declared(node, node.value)
            if isinstance(node, ast.Call):
                names = set(map(_last_name, [*node.args, *(each.value for each in node.keywords)]))
                (self._by_hand if _last_name(node.func) == _BY_HAND else self._otherwise).update(names)
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                self._marked += _marks(node)

    def _declared(self, node: ast.Assign | ast.AnnAssign, call: ast.Call) -> None:
        kind, name = _last_name(call.func), _argument(call, "name")
        for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
            if kind == "TaskType" and name and not _has_flag(call, _AWAKEABLE_ONLY):
                self._topics[_last_name(target)] = _argument(call, "topic", position=None) or name
            elif kind in _SERVICE_KINDS and name:
                self._services[_last_name(target)] = f"{name}/{_SERVICE_KINDS[kind]}"


def _marks(function: ast.FunctionDef | ast.AsyncFunctionDef) -> Iterator[_Mark]:
    """The handlers that a function is."""
    for each in function.decorator_list:
        mark = each.func if isinstance(each, ast.Call) else each
        if isinstance(mark, ast.Attribute) and mark.attr in _HANDLER_MARKS:
            name = _argument(each, "name") if isinstance(each, ast.Call) else ""
            yield _Mark(_last_name(mark.value), name or function.name, mark.attr == _MAIN)


def _argument(call: ast.Call, keyword: str, *, position: int | None = 0) -> str:
    """A text that is written where a function is called; empty if it is none."""
    given = [each.value for each in call.keywords if each.arg == keyword]
    if position is not None:
        given += call.args[position : position + 1]
    return next((each.value for each in given if isinstance(each, ast.Constant) and isinstance(each.value, str)), "")


def _has_flag(call: ast.Call, keyword: str) -> bool:
    """Whether True is written where a function is called."""
    return any(
        each.arg == keyword and isinstance(each.value, ast.Constant) and each.value.value is True
        for each in call.keywords
    )


def _last_name(node: ast.expr) -> str:
    """The name of a variable or of an attribute; empty for anything else."""
    return node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""
