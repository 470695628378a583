"""How processes of a run are started: as a user starts them, each with its own log."""

from __future__ import annotations

import base64
import secrets
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from chaos.plan import SESSION_TIMEOUT
from chaos.work import GRACE
from kallback.testing.servers.processes import ChildProcess

ROOT: Final = Path(__file__).parent.parent
_KALLBACK: Final = str(Path(sys.executable).with_name("kallback"))
WORKER: Final = (_KALLBACK, "worker", "chaos.worker:worker")


def service_command(port: int) -> tuple[str, ...]:
    """What runs the Restate service."""
    return (sys.executable, "-m", "kallback.cli", "service", "chaos.app:app", "--port", str(port))


def bridge_command(completer: str, instance_id: str | None) -> tuple[str, ...]:
    """What runs a bridge; without an instance id it joins its group as a dynamic member."""
    session = ("--session-timeout", f"{SESSION_TIMEOUT:g}", "--late-grace", f"{GRACE:g}")
    return (
        *(_KALLBACK, "bridge", "--outcomes", "--instance-id", instance_id or "none"),
        *("--completer", completer, *session),
    )


def process_of(name: str, command: tuple[str, ...], environment: Mapping[str, str], logs: Path) -> ChildProcess:
    """A process that is not started yet; it knows its name as `CHAOS_NAME`."""
    env = {**environment, "CHAOS_NAME": name}
    return ChildProcess(name, command, log=logs / f"{name}.log", env=env, cwd=ROOT)


def new_keys(key_id: str) -> str:
    """`KALLBACK_KEYS` with one key, made for one run."""
    return f"{key_id}:{base64.b64encode(secrets.token_bytes(32)).decode()}"
