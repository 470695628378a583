"""The image is built from what the Dockerfile copies, and from nothing else."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[3]


def test_the_image_has_what_the_wheel_is_built_from() -> None:
    """A file that the wheel includes and the Dockerfile does not copy ends the build."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    included = project["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"]
    copied = re.findall(r"^COPY (\S+) \S+$", (ROOT / "Dockerfile").read_text("utf-8"), re.MULTILINE)
    assert [path for path in included if not any(path == each or path.startswith(f"{each}/") for each in copied)] == []
