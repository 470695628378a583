"""Tutorial, README and Compose file of a new project have the same commands, which make what the containers read."""

from __future__ import annotations

import re
import stat
import subprocess
from pathlib import Path

import pytest

from kallback.cli.new.project import project_files, write_project
from kallback.protocol import Keyring

ROOT = Path(__file__).parents[3]
TUTORIAL = (ROOT / "docs" / "tutorial.md").read_text("utf-8").partition("## 6. ")[2]
FILES = project_files("print-shop")
PREPARE = next(block for block in re.findall(r"```sh\n(.*?)```", TUTORIAL, re.DOTALL) if ".env" in block)


def test_all_three_places_have_the_same_commands() -> None:
    """As they are to be typed."""
    assert PREPARE in FILES["README.md"]
    assert "".join(f"#   {line}\n" for line in PREPARE.splitlines()) in FILES["compose.yaml"]
    for place in (TUTORIAL, FILES["README.md"], FILES["compose.yaml"]):
        assert "docker compose up --build --wait" in place


def test_the_commands_make_a_key_and_a_password(tmp_path: Path) -> None:
    """Nothing has to be edited; the key is readable to its owner only, and not in the environment."""
    write_project("print-shop", tmp_path)
    subprocess.run(["sh", "-euc", PREPARE], cwd=tmp_path, check=True)
    env = (tmp_path / ".env").read_text("utf-8")
    keys = tmp_path / "secrets" / "keys"
    assert Keyring.parse(keys.read_text("utf-8")).key_ids == ("k1",)
    assert stat.S_IMODE(keys.stat().st_mode) == stat.S_IRUSR | stat.S_IWUSR
    assert re.search(r"^CONSOLE_PASSWORD=[0-9a-f]{32}$", env, re.MULTILINE)
    assert "KALLBACK_KEYS" not in env


@pytest.mark.parametrize("port", ["8080", "8091"])
def test_the_ports_are_those_of_the_compose_file(port: str) -> None:
    """As published on the host."""
    assert f"127.0.0.1:{port}:{port}" in FILES["compose.yaml"]
    assert f"localhost:{port}" in TUTORIAL
    assert f"localhost:{port}" in FILES["README.md"]


def test_the_second_task_type_gets_its_topic(tmp_path: Path) -> None:
    """The Compose file of a new project knows one."""
    write_project("print-shop", tmp_path)
    [command] = re.findall(r"^sed -i .* compose\.yaml$", TUTORIAL, re.MULTILINE)
    subprocess.run(["sh", "-euc", command], cwd=tmp_path, check=True)
    assert '["topics", "create", "print-shop.convert", "print-shop.words"]' in (tmp_path / "compose.yaml").read_text()
