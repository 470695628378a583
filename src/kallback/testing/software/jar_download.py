"""Fetches jars with jgo, which knows Maven repositories and needs neither Maven nor Java.

    jar_download.py FOLDER_OF_JGO TARGET < COORDINATES

This file runs as a script, by path, without the package: jgo is no dependency of kallback. Further repositories are
those of jgo's own configuration (`~/.config/jgo.conf`); jars of the local Maven repository are copied.
"""

from __future__ import annotations

import importlib
import shutil
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

_PARALLEL: Final = 6
_ATTEMPTS: Final = 3
_REQUEST_TIMEOUT_S: Final = 60


def main(wheels: str, target: Path) -> None:
    """Fetch the jars whose coordinates are in standard input, one per line."""
    sys.path.insert(0, wheels)
    coordinates = sys.stdin.read().split()
    with ThreadPoolExecutor(_PARALLEL) as pool:
        for done in [pool.submit(fetch, each, target) for each in coordinates]:
            done.result()


def fetch(coordinates: str, target: Path) -> None:
    """Fetch one jar; jgo cannot go on with a half-written file, so each attempt has its own folder."""
    group, artifact, version = coordinates.split(":")
    for attempt in range(1, _ATTEMPTS + 1):
        with tempfile.TemporaryDirectory(dir=target) as folder:
            try:
                jar = maven_context(Path(folder)).project(group, artifact).at_version(version).artifact().resolve()
            except Exception:
                if attempt == _ATTEMPTS:
                    raise
            else:
                shutil.copyfile(jar, target / jar.name)
                return


def maven_context(folder: Path) -> Any:
    """Return jgo's view of the repositories that are configured on this machine."""
    configured = importlib.import_module("jgo.config").GlobalSettings.load().repositories
    maven = importlib.import_module("jgo.maven")
    return maven.MavenContext(
        repo_cache=folder,
        local_repos=[Path.home() / ".m2" / "repository"],
        remote_repos=configured or None,
        timeout=_REQUEST_TIMEOUT_S,
    )


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
