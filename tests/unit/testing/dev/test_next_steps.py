"""What `kallback dev` writes and says, without servers."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from kallback.cli.commands.new import new
from kallback.cli.new.project import write_project
from kallback.testing.dev.announcement import Announcement, activation
from kallback.testing.dev.environment import PortChooser, ignored_settings, without_settings
from kallback.testing.dev.example import EXAMPLE_FILES, write_example
from kallback.testing.dev.next_steps import call_to_try, next_steps
from kallback.testing.dev.project import project_in
from kallback.testing.dev.registration import handlers_of
from kallback.testing.servers.ports import free_ports

ADMIN, INGRESS = "http://127.0.0.1:9070", "http://127.0.0.1:8080"
EXAMPLE = Path(__file__).parents[4] / "examples" / "quickstart"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project of `kallback new`."""
    write_project("print-shop", tmp_path)
    return tmp_path / "print_shop"


def append(path: Path, text: str) -> None:
    """Add to a file."""
    path.write_text(path.read_text() + text)


def test_the_example_is_the_one_of_the_repository(tmp_path: Path) -> None:
    """`--example` writes the three files that the README shows, and says where."""
    said = write_example(tmp_path / "new")

    assert said == f"Wrote shared.py, handler.py, worker.py to {tmp_path / 'new'}."
    assert sorted(path.name for path in EXAMPLE.glob("*.py")) == sorted(EXAMPLE_FILES)
    for name in EXAMPLE_FILES:
        assert (tmp_path / "new" / name).read_text() == (EXAMPLE / name).read_text()


def test_a_file_that_exists_is_left_alone(tmp_path: Path) -> None:
    """A second start in the same folder keeps what was changed there."""
    (tmp_path / "handler.py").write_text("mine")

    said = write_example(tmp_path)

    assert said == f"Wrote shared.py, worker.py to {tmp_path}. Kept handler.py."
    assert (tmp_path / "handler.py").read_text() == "mine"


def test_the_next_steps_name_the_addresses(tmp_path: Path) -> None:
    """The commands can be pasted: they have this run's addresses, and create the topic."""
    text = next_steps(ADMIN, INGRESS, 9080, tmp_path)
    assert "curl http://127.0.0.1:9070/deployments" in text
    assert "curl http://127.0.0.1:8080/Orders/place" in text
    assert "kallback bridge --outcomes\n" in text, "the console and `kallback outcomes tail` have nothing to show"
    assert "kallback topics create restaurant.prepare" in text


def test_the_next_steps_serve_and_register_one_port(tmp_path: Path) -> None:
    """9080 was fixed: where another program had it, the service ended, and Restate called the other program."""
    text = next_steps(ADMIN, INGRESS, 9081, tmp_path)
    assert "kallback service handler:app --port 9081\n" in text
    assert '--json \'{"uri": "http://127.0.0.1:9081"}\'\n' in text
    assert "9080" not in text


@pytest.mark.parametrize("typed_in", ["print-shop", "."])
def test_in_a_project_the_next_steps_are_those_of_its_readme(typed_in: str, tmp_path: Path) -> None:
    """Also in the folder above; names of the README's example would lead nowhere."""
    write_project("print-shop", tmp_path / "print-shop")
    readme = (tmp_path / "print-shop" / "README.md").read_text()
    text = next_steps(ADMIN, INGRESS, 9080, tmp_path / typed_in)
    typed = readme.replace("$KALLBACK_RESTATE_ADMIN_URL", ADMIN).replace("$KALLBACK_RESTATE_INGRESS_URL", INGRESS)
    steps = [line for line in text.splitlines() if line.startswith(("kallback", "curl"))]
    assert len(steps) == 7
    assert [line for line in steps if line not in typed.splitlines()] == []
    assert str(tmp_path / "print-shop") in text


def test_a_task_type_that_was_added_is_among_the_topics(project: Path) -> None:
    """The project as it is, and not as it was written; without its README the request is left to the reader."""
    append(project / "tasks.py", 'words = TaskType("print-shop.words", request=Document, result=int, topic="words")\n')
    (project.parent / "README.md").unlink()
    text = next_steps(ADMIN, INGRESS, 9080, project.parent)
    assert "kallback topics create print-shop.convert words\n" in text
    assert f"curl {INGRESS}/Documents/publish --json 'REQUEST'" in text


def test_a_task_type_that_only_people_answer_has_no_topic(project: Path) -> None:
    """Strangers were told to create one, and looked for its worker."""
    append(project / "tasks.py", 'approve = TaskType("print-shop.approve", request=Document, result=bool)\n')
    append(project / "service.py", "async def ask(ctx):\n    await callbacks.awakeable(ctx, tasks.approve)\n")
    assert "kallback topics create print-shop.convert\n" in next_steps(ADMIN, INGRESS, 9080, project.parent)


def test_a_marked_task_type_has_no_topic(project: Path) -> None:
    """Wherever it is used."""
    marked = 'approve = TaskType("print-shop.approve", request=Document, result=bool, awakeable_only=True)\n'
    append(project / "tasks.py", marked)
    assert "kallback topics create print-shop.convert\n" in next_steps(ADMIN, INGRESS, 9080, project.parent)


@pytest.mark.parametrize(("kind", "path"), [("Service", "Pages/show"), ("VirtualObject", "Pages/KEY/show")])
def test_a_handler_that_is_gone_is_not_called(kind: str, path: str, project: Path) -> None:
    """Its README still calls it; Restate would answer 404."""
    (project / "service.py").write_text(
        f'pages = restate.{kind}("Pages")\n\n@pages.handler("show")\nasync def any_name(ctx, url): ...\n'
    )
    assert f"curl {INGRESS}/{path} --json 'REQUEST'" in next_steps(ADMIN, INGRESS, 9080, project.parent)


def test_a_workflow_is_called_at_its_main_handler(project: Path) -> None:
    """The others talk to a run that has begun; the names of handlers say nothing of that."""
    (project / "service.py").write_text(
        'album = restate.Workflow("Album")\n\n@album.handler()\nasync def approve(ctx): ...\n\n'
        "@album.main()\nasync def run(ctx, name): ...\n"
    )
    assert f"curl {INGRESS}/Album/KEY/run --json 'REQUEST'" in next_steps(ADMIN, INGRESS, 9080, project.parent)
    found = [{"name": "approve", "ty": "Shared"}, {"name": "run", "ty": "Workflow"}]
    services = [{"name": "Pages", "ty": "Service", "handlers": [{"name": "show"}]}]
    services.append({"name": "Album", "ty": "Workflow", "handlers": found})
    assert handlers_of(services) == ("Album/KEY/run", "Album/KEY/approve", "Pages/show")


def test_a_module_that_is_being_edited_ends_nothing(project: Path) -> None:
    """It has no names while it is no Python."""
    append(project / "service.py", "async def (")
    assert "curl http://127.0.0.1:8080/SERVICE/HANDLER" in next_steps(ADMIN, INGRESS, 9080, project.parent)


def test_what_runs_is_called_as_its_readme_says(project: Path) -> None:
    """If Restate has the handler; else the first one that it has; without any, nothing is called."""
    folder = project.parent
    assert "Documents/publish --json '\"page.md\"'" in call_to_try(INGRESS, ("A/b", "Documents/publish"), folder)
    assert f"curl {INGRESS}/A/b --json 'REQUEST'" in call_to_try(INGRESS, ("A/b", "Documents/other"), folder)
    assert "Orders/place --json '\"Pizza\"'" in call_to_try(INGRESS, ("Orders/place",), EXAMPLE)
    assert call_to_try(INGRESS, (), folder) == ""


def test_a_folder_with_two_projects_gets_the_steps_of_the_example(tmp_path: Path) -> None:
    """Either could be meant."""
    for name in ("print-shop", "paper-mill"):
        write_project(name, tmp_path / name)
    assert "restaurant.prepare" in next_steps(ADMIN, INGRESS, 9080, tmp_path)


def test_a_virtual_environment_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Other terminals need the command that activates it; without one there is nothing to activate."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "activate").touch()
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    assert activation() == f"source {tmp_path}/bin/activate"

    monkeypatch.setattr(sys, "prefix", sys.base_prefix)
    assert activation() is None


@pytest.mark.parametrize("gateway_url", ["http://127.0.0.1:8090", None])
def test_what_workers_need_comes_before_the_keys(gateway_url: str | None) -> None:
    """Workers sign nothing; a gateway that does not run is not named."""
    variables = {"KALLBACK_KAFKA_BOOTSTRAP_SERVERS": "a:9092", "KALLBACK_KEYS": "k1:x", "KALLBACK_TOPICS_PREFIX": "a."}
    lines = list(Announcement(variables, gateway_url, None).exports())
    links = [] if gateway_url is None else [f"export KALLBACK_GATEWAY_URL={gateway_url}"]
    assert lines == [
        "export KALLBACK_KAFKA_BOOTSTRAP_SERVERS=a:9092",
        "export KALLBACK_TOPICS_PREFIX=a.",
        "# for all but workers:",
        "export KALLBACK_KEYS=k1:x",
        *links,
    ]


def test_a_process_does_not_get_the_port_that_another_one_was_given() -> None:
    """The console on the usual port of the gateway would not start, and the gateway would answer in its place."""
    first, second = free_ports(2)
    ports = PortChooser([first])
    assert ports.choose(first, second) == first, "it was asked for"
    assert ports.choose(None, first) != first, "another one asked for it"
    assert (ports.choose(None, second), ports.choose(None, second) == second) == (second, False)


def test_settings_of_the_terminal_are_not_those_of_the_stack() -> None:
    """A key file that is exported for another installation ended the gateway: two settings of keys are refused."""
    terminal = {"PATH": "/bin", "KALLBACK_KEYS_FILE": "keys", "KALLBACK_TEST_SERVERS": "local", "KALLBACK_KEYS": "k1:x"}
    assert without_settings(terminal) == {"PATH": "/bin", "KALLBACK_TEST_SERVERS": "local"}
    assert "KALLBACK_KEYS_FILE. Unset" in ignored_settings(terminal, [{"KALLBACK_KEYS": "k1:x"}])
    assert ignored_settings({"PATH": "/bin"}, []) == ""


@pytest.mark.parametrize("page", ["tutorial.md", "develop.md"])
def test_pages_show_the_command_that_runs_a_new_project(page: str, project: Path) -> None:
    """As `kallback new` prints it."""
    found = project_in(project.parent)
    assert found is not None
    assert f"\n{found.application.command()}\n" in (EXAMPLE.parents[1] / "docs" / page).read_text()
    said = CliRunner().invoke(new, ["print-shop", "--folder", str(project.parent / "again")]).output
    assert found.application.command() in said.splitlines()
