"""`kallback new`: a project under a name of one's own."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from kallback import __version__
from kallback.cli.commands.new import new
from kallback.cli.new.project import check_name, project_files, write_project
from kallback.documentation import page_address
from kallback.protocol import ConfigurationError

ROOT = Path(__file__).parents[3]


def test_the_files_are_those_of_the_starter_under_the_new_name() -> None:
    """Its package has underscores, its topic and image have the name; nothing of the old name is left."""
    files = project_files("print-shop")
    assert {
        "print_shop/tasks.py",
        "print_shop/service.py",
        "tests/test_worker.py",
        "compose.yaml",
        ".env.example",
    } <= set(files)
    assert '"print-shop.convert"' in files["print_shop/tasks.py"]
    assert 'Worker("print-shop")' in files["print_shop/worker.py"]
    assert "print-shop:latest" in files["compose.yaml"]
    assert files["README.md"].startswith("# print-shop\n")
    assert [path for path, text in files.items() if "starter" in path or "starter" in text] == []


def test_the_written_python_and_compose_file_can_be_read() -> None:
    """Replacing words breaks neither."""
    for path, text in project_files("print-shop").items():
        if path.endswith(".py"):
            ast.parse(text, path)
    services = yaml.safe_load(project_files("print-shop")["compose.yaml"])["services"]
    assert services["worker"]["command"][:2] == ["worker", "print_shop.worker:worker"]


def test_the_project_requires_the_version_that_wrote_it() -> None:
    """Or a later one."""
    files = project_files("shop")
    for path in ("requirements.txt", "requirements-dev.txt"):
        assert f"]>={__version__}\n" in files[path]


def test_links_lead_to_the_pages_of_this_version() -> None:
    """As those in help texts and errors do."""
    readme = project_files("shop")["README.md"]
    assert page_address("rotate-keys") in readme
    assert "/latest/" not in readme


def test_the_images_are_those_of_the_repository() -> None:
    """One version of each server, wherever it is named."""
    ours = yaml.safe_load((ROOT / "compose.yaml").read_text("utf-8"))["services"]
    theirs = yaml.safe_load(project_files("shop")["compose.yaml"])["services"]
    assert [theirs[name]["image"] for name in ("kafka", "restate")] == [
        ours[name]["image"] for name in ("kafka", "restate")
    ]


@pytest.mark.parametrize("name", ["", "Shop", "1shop", "shop-", "a--b", "shop shop", "../shop", "a" * 41, "söp"])
def test_a_name_that_fits_no_package_is_refused(name: str) -> None:
    """With an example of one that does."""
    with pytest.raises(ConfigurationError, match="such as print-shop"):
        check_name(name)


@pytest.mark.parametrize("name", ["class", "asyncio", "restate", "kallback", "tests", "confluent-kafka"])
def test_a_name_that_something_else_has_is_refused(name: str) -> None:
    """The project would hide what it imports."""
    with pytest.raises(ConfigurationError, match="choose another"):
        check_name(name)


def test_what_is_there_is_never_overwritten(tmp_path: Path) -> None:
    """But a repository and a virtual environment may be there already."""
    for name in (".git", ".venv"):
        (tmp_path / name).mkdir()
    assert "README.md" in write_project("shop", tmp_path)
    (tmp_path / "README.md").write_text("mine")
    with pytest.raises(ConfigurationError, match="is not empty"):
        write_project("shop", tmp_path)
    assert (tmp_path / "README.md").read_text() == "mine"


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    """Such as one below a file."""
    (tmp_path / "file").touch()
    with pytest.raises(ConfigurationError, match=r"file/shop cannot be written \(.+\): name another one with --folder"):
        write_project("shop", tmp_path / "file" / "shop")


def test_the_command_says_what_it_wrote_and_what_to_type(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the current folder, unless another one is named."""
    monkeypatch.chdir(tmp_path)
    said = CliRunner().invoke(new, ["shop"], catch_exceptions=False)
    assert (tmp_path / "shop" / "shop" / "service.py").exists()
    assert "shop/shop/service.py\n" in said.output
    assert "\ncd shop\n" in said.output


def test_roles_that_sign_read_their_keys_from_a_mounted_folder() -> None:
    """So that keys are rotated without a restart; nothing else gets them."""
    services = yaml.safe_load(project_files("shop")["compose.yaml"])["services"]
    signing = {"bridge", "gateway", "service", "console"}
    files = {name: service.get("environment", {}).get("KALLBACK_KEYS_FILE") for name, service in services.items()}
    assert files == {name: "/run/kallback/keys" if name in signing else None for name in services}
    assert {name for name in services if services[name].get("volumes") == ["./secrets:/run/kallback:ro"]} == signing
    assert "secrets/" in project_files("shop")[".gitignore"].splitlines()


def test_links_lead_to_the_gateway() -> None:
    """At the address at which the host publishes its port; it knows the project's types."""
    services = yaml.safe_load(project_files("shop")["compose.yaml"])["services"]
    assert services["gateway"]["command"][3:5] == ["--types", "shop.tasks"]
    assert services["gateway"]["ports"] == ["127.0.0.1:8090:8090"]
    assert services["service"]["environment"]["KALLBACK_GATEWAY_URL"] == "http://localhost:8090"


def test_the_console_sees_the_health_port_of_each_role() -> None:
    """They are not published on the host."""
    services = yaml.safe_load(project_files("shop")["compose.yaml"])["services"]
    roles = ("bridge", "worker", "service", "gateway")
    for role in roles:
        assert services[role]["command"][-4:] == ["--health-port", "9464", "--health-host", "0.0.0.0"]
    assert [each for each in services["console"]["command"] if each.startswith("--process")] == [
        f"--process=http://{role}:9464" for role in roles
    ]
