"""The commands of the page on rotation write the key files that its table names."""

from __future__ import annotations

import re
import stat
import subprocess
from pathlib import Path

PAGE = (Path(__file__).parents[3] / "docs" / "rotate-keys.md").read_text("utf-8")
COMMANDS = next(block for block in re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL) if "put()" in block)
DEFINITION = COMMANDS[: COMMANDS.index("}\n") + 2]
STEPS = [line for line in COMMANDS.splitlines() if line.startswith("put ")]


def test_each_step_leaves_the_keys_of_its_row(tmp_path: Path) -> None:
    """Old and new, new and old, new alone; the file stays readable to its owner only."""
    keys = tmp_path / "secrets" / "keys"
    keys.parent.mkdir()
    keys.write_text("k1:b2xk\n", "utf-8")
    seen: list[list[str]] = []
    for step in STEPS:
        subprocess.run(["sh", "-euc", DEFINITION + step], cwd=tmp_path, check=True)
        seen.append([key.partition(":")[0] for key in keys.read_text("utf-8").split(",")])
        assert stat.S_IMODE(keys.stat().st_mode) == stat.S_IRUSR | stat.S_IWUSR

    assert seen == [["k1", "k2"], ["k2", "k1"], ["k2"]]
