"""`python -m kallback.testing.serve MODULE:NAME PORT`: a Restate application under hypercorn, until SIGTERM."""

from __future__ import annotations

import asyncio
import importlib
import signal
import sys
from pathlib import Path
from typing import Any

from restate.server import install_shutdown_hook

from kallback.testing.services import run_hypercorn


def main() -> None:
    """Serve what the command line names."""
    target, port = sys.argv[1:3]
    sys.path.insert(0, str(Path.cwd()))
    asyncio.run(run(load(target), int(port)))


def load(target: str) -> Any:
    """Import `MODULE:NAME`."""
    module, _, name = target.partition(":")
    return getattr(importlib.import_module(module), name)


async def run(app: Any, port: int) -> None:
    """Serve until SIGTERM or SIGINT."""
    end = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):  # a plain handler for SIGTERM would be replaced by the SDK's own
        install_shutdown_hook(asyncio.get_running_loop(), end.set, number)
    await run_hypercorn(app, port, end, errorlog="-")


if __name__ == "__main__":
    main()
