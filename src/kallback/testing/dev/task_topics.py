"""Topics of the task types that an application declares: the worker of some runs elsewhere, in any language."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


def create_task_topics(types: Sequence[str], environ: Mapping[str, str]) -> list[str]:
    """Create those that are missing, as `kallback topics create` does.

    A process of its own reads the modules as they are now.

    Args:
        types: modules with task types, as `--types` takes them.
        environ: of that process, with the settings.

    Returns:
        What it said if it failed, line by line.
    """
    if not types:
        return []
    command = [sys.executable, "-m", "kallback.cli", "topics", "create", *(f"--types={each}" for each in types)]
    done = subprocess.run(  # noqa: S603 - our own command
        command, env=dict(environ), check=False, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    return done.stdout.splitlines() if done.returncode else []
