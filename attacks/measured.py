"""`python -m attacks.measured ...` is `kallback ...` whose event loops note callbacks that hold them.

A line for each callback whose thread used more than `_LEAST_MS` of CPU: when it ended, how much, what it was. CPU of
the thread and not the time of the clock, because other programs of the machine must not count.
"""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path
from typing import Any, Final

from attacks.work import LIMIT_VARIABLE, LOOP_VARIABLE

_LEAST_MS: Final = 20.0
_LONGEST_NAME: Final = 200


def main() -> None:
    """Run the command."""
    if LIMIT_VARIABLE in os.environ:
        Path(os.environ[LIMIT_VARIABLE]).write_text(str(os.getpid()))
    _measure(Path(os.environ[LOOP_VARIABLE]))
    from kallback.cli import main as run_command  # noqa: PLC0415 - its imports would count as a callback

    run_command()


def _measure(file: Path) -> None:
    run = asyncio.Handle._run  # noqa: SLF001 # pyright: ignore[reportPrivateUsage, reportUnknownMemberType, reportAttributeAccessIssue, reportUnknownVariableType] - the one way

    def timed(self: Any) -> None:
        began = time.thread_time()
        run(self)
        took = (time.thread_time() - began) * 1000
        if took >= _LEAST_MS:
            with file.open("a") as out:
                out.write(f"{time.monotonic():.3f} {took:.1f} {_name(self)}\n")

    asyncio.Handle._run = timed  # type: ignore[method-assign] # noqa: SLF001 # pyright: ignore[reportPrivateUsage, reportAttributeAccessIssue]


def _name(handle: Any) -> str:
    """The task whose step it is, or the callback."""
    callback = getattr(handle, "_callback", None)
    owner = getattr(callback, "__self__", None)
    name = owner.get_name() if isinstance(owner, asyncio.Task) else repr(callback)
    return name.replace("\n", " ")[:_LONGEST_NAME]


if __name__ == "__main__":
    main()
