"""What to type beside a running stack: for the project in a folder, or for the example of the README."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_TASK_TYPE: Final = re.compile(r'\bTaskType\(\s*"([\w.-]+)"')
_CALL: Final = re.compile(r"^curl \S*INGRESS_URL\S*?/(\w+/\w+\S*? --json .+)$", re.MULTILINE)
_ANY_CALL: Final = "SERVICE/HANDLER --json 'REQUEST'"
_EXAMPLE_TOPIC: Final = "restaurant.prepare"
_EXAMPLE_CALL: Final = "Orders/place --json '\"Pizza\"'"
_MODULES: Final = ("tasks", "service", "worker")
"""Of a project that `kallback new` writes."""
_STEPS: Final = """
Then, in {where}, each in a terminal of its own:

{topics}kallback bridge --outcomes
kallback worker {worker}
kallback service {service}

Tell Restate where the service is, and call it:

curl {admin}/deployments --json '{{"uri": "http://127.0.0.1:9080"}}'
curl {ingress}/{call}
"""


@dataclass(frozen=True, slots=True)
class ProjectNames:
    """A project as `kallback new` writes it, with what its author has made of it since.

    Attributes:
        folder: where commands are typed.
        package: that has the modules `tasks`, `service` and `worker`.
        topics: the names of its task types.
        call: a handler and a request, from its README.
    """

    folder: Path
    package: str
    topics: tuple[str, ...]
    call: str


def project_in(folder: Path) -> ProjectNames | None:
    """Return the project in a folder, or in the only folder in it that has one; None without one."""
    for pattern in ("*/worker.py", "*/*/worker.py"):
        packages = [path.parent for path in folder.glob(pattern) if _is_project(path.parent)]
        if packages:
            return _names(packages[0]) if len(packages) == 1 else None
    return None


def next_steps(admin_url: str, ingress_url: str, *, example: Path | None, folder: Path) -> str:
    """Return what to type to have a service answer a call.

    Args:
        admin_url: of Restate.
        ingress_url: of Restate.
        example: the folder into which the README's example was written; its topic exists.
        folder: where the command was typed.
    """
    project = None if example else project_in(folder)
    if project is not None:
        return _STEPS.format(
            where=project.folder.resolve(),
            topics=f"kallback topics create {' '.join(project.topics)}\n" if project.topics else "",
            worker=f"{project.package}.worker:worker",
            service=f"{project.package}.service:app",
            admin=admin_url,
            ingress=ingress_url,
            call=project.call,
        )
    readme = "a folder with the README's shared.py, handler.py and worker.py (`kallback dev --example` writes them)"
    return _STEPS.format(
        where=readme if example is None else example.resolve(),
        topics=f"kallback topics create {_EXAMPLE_TOPIC} && " if example is None else "",
        worker="worker:worker",
        service="handler:app",
        admin=admin_url,
        ingress=ingress_url,
        call=_EXAMPLE_CALL,
    )


def _is_project(package: Path) -> bool:
    return package.name.isidentifier() and all((package / f"{name}.py").is_file() for name in _MODULES)


def _names(package: Path) -> ProjectNames:
    readme = package.parent / "README.md"
    call = _CALL.search(_text(readme)) if readme.is_file() else None
    topics = tuple(dict.fromkeys(_TASK_TYPE.findall(_text(package / "tasks.py"))))
    return ProjectNames(package.parent, package.name, topics, call[1] if call else _ANY_CALL)


def _text(path: Path) -> str:
    return path.read_text("utf-8", "replace")
