"""What `kallback dev` prints when everything runs: what is where, what to export, and what to type."""

from __future__ import annotations

import os
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from kallback.settings import Topics
from kallback.testing.dev.environment import PortChooser
from kallback.testing.dev.next_steps import call_to_try, next_steps
from kallback.testing.dev.programs import SERVICE_PORT, SIGNING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from kallback.testing.dev.servers import DevServers


def environment_lines(servers: DevServers, topics: Topics) -> dict[str, str]:
    """Return the variables that point kallback at these servers."""
    stack = servers.stack
    lines = {
        "KALLBACK_KAFKA_BOOTSTRAP_SERVERS": stack.bootstrap_servers,
        "KALLBACK_RESTATE_INGRESS_URL": stack.ingress_url,
        "KALLBACK_RESTATE_ADMIN_URL": stack.admin_url,
        SIGNING: servers.state.keys,
    }
    if topics.prefix != Topics().prefix:
        lines["KALLBACK_TOPICS_PREFIX"] = topics.prefix
    return lines


@dataclass(frozen=True, slots=True)
class Announcement:
    """What users of a running stack are told.

    Attributes:
        variables: to export.
        gateway_url: None if there is no gateway.
        console_url: None if there is no console.
        task_topics: of the task types.
    """

    variables: Mapping[str, str]
    gateway_url: str | None
    console_url: str | None
    task_topics: tuple[str, ...] = ()

    def exports(self) -> Iterator[str]:
        """The lines to type in another terminal; what workers need not have comes last."""
        for name, value in self.variables.items():
            if name != SIGNING:
                yield f"export {name}={shlex.quote(value)}"
        yield "# for all but workers:"
        yield f"export {SIGNING}={shlex.quote(self.variables[SIGNING])}"
        if self.gateway_url is not None:
            yield f"export KALLBACK_GATEWAY_URL={shlex.quote(self.gateway_url)}"

    def links(self) -> Iterator[str]:
        """Where a browser leads."""
        if self.gateway_url is not None:
            yield f"Links of approvals lead to the gateway: {self.gateway_url}"
        if self.console_url is not None:
            yield f"Pending tasks, outcomes and dead letters in the web browser: {self.console_url}"


def announcement(servers: DevServers, topics: Topics, told: Announcement) -> str:
    """Return what runs where, and what other terminals need."""
    stack, exports = servers.stack, list(told.exports())
    lines = [stack.kafka.description, stack.restate.description, f"Topics: {', '.join(topics.all())}"]
    if told.task_topics:
        lines.append(f"Topics of tasks: {', '.join(told.task_topics)}")
    lines += ["", "In each other terminal, first:", "", *filter(None, [activation()]), *exports]
    if servers.data is not None:
        lines += ["", f"The same lines are in a file: source {shlex.quote(str(servers.data.write_exports(exports)))}"]
    return "\n".join(lines)


def what_to_type(servers: DevServers, handlers: tuple[str, ...] | None) -> str:
    """Return how to have a handler answer a call.

    Args:
        servers: that run.
        handlers: of the application that runs; None without one.
    """
    stack = servers.stack
    if handlers is None:
        return next_steps(stack.admin_url, stack.ingress_url, PortChooser().choose(None, SERVICE_PORT), Path.cwd())
    return "\n" + call_to_try(stack.ingress_url, handlers, Path.cwd())


def ending(servers: DevServers) -> str:
    """Return what Ctrl-C does."""
    if servers.data is None:
        return "The key is for this run only. Ctrl-C stops everything and removes their data."
    return f"Ctrl-C stops everything. Data and key stay in {servers.data.path} for the next run."


def activation() -> str | None:
    """Return the command that makes `kallback` available in another terminal; None outside a virtual environment."""
    script = Path(sys.prefix) / "bin" / "activate"
    return None if sys.prefix == sys.base_prefix or not script.exists() else f"source {shlex.quote(os.fspath(script))}"
