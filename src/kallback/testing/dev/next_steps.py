"""What to type beside a running stack: for the project in a folder, or for the example of the README."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from kallback.testing.dev.project import call_of, project_in

_STEPS: Final = """
Then, in {where}, each in a terminal of its own:

{topics}kallback bridge --outcomes
kallback worker {worker}
kallback service {service} --port {port}

Tell Restate where the service is, and call it:

curl {admin}/deployments --json '{{"uri": "http://127.0.0.1:{port}"}}'
curl {ingress}/{call}
"""
_INSTEAD: Final = """
Or have `kallback dev` run all of it, and start it anew when a file changes: stop this with Ctrl-C, and there type

{command}
"""


def next_steps(admin_url: str, ingress_url: str, service_port: int, folder: Path) -> str:
    """Return what to type to have a service answer a call.

    Args:
        admin_url: of Restate.
        ingress_url: of Restate.
        service_port: on which the service is to listen.
        folder: where the command was typed.
    """
    project = project_in(folder)
    if project is None:
        return _STEPS.format(
            where="a folder with the README's shared.py, handler.py and worker.py (`kallback dev --example` writes and "
            "runs them)",
            topics="kallback topics create restaurant.prepare\n",
            worker="worker:worker",
            service="handler:app",
            port=service_port,
            admin=admin_url,
            ingress=ingress_url,
            call="Orders/place --json '\"Pizza\"'",
        )
    steps = _STEPS.format(
        where=project.folder.resolve(),
        topics=f"kallback topics create {' '.join(project.topics)}\n" if project.topics else "",
        worker=project.application.workers[0],
        service=project.application.services[0],
        port=service_port,
        admin=admin_url,
        ingress=ingress_url,
        call=project.call,
    )
    return steps + _INSTEAD.format(command=project.application.command())


def call_to_try(ingress_url: str, handlers: tuple[str, ...], folder: Path) -> str:
    """Return how to call one of the handlers that run; empty if there is none."""
    return f"Call a handler:\n\ncurl {ingress_url}/{call_of(handlers, folder)}\n" if handlers else ""
