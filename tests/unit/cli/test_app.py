"""The command as a newcomer meets it."""

import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from kallback.cli import app as command
from kallback.cli.commands.topics import topics
from kallback.cli.commands.worker import load_worker
from kallback.protocol import ConfigurationError, KafkaUnavailableError, KallbackError


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    """The command in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "kallback.cli", *arguments], capture_output=True, text=True, check=False, timeout=60
    )


def test_help_names_every_command_with_a_sentence():
    """`kallback --help` is the map of the product."""
    text = CliRunner().invoke(command.app, ["--help"]).output
    for name in ("bridge", "complete", "dead-letters", "dev", "fail", "tasks", "token", "topics", "version", "worker"):
        assert f"  {name} " in text


def test_help_imports_no_client_library():
    """Help answers at once, and where no extra is installed."""
    code = (
        "import sys; from click.testing import CliRunner; from kallback.cli.app import app;"
        "CliRunner().invoke(app, ['--help']);"
        "print(sorted({'restate', 'confluent_kafka', 'aiokafka', 'httptools'} & set(sys.modules)))"
    )
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "[]"


def test_every_command_has_help_of_its_own():
    """`kallback COMMAND --help` works for each command that the map names."""
    for name in ("bridge", "complete", "dead-letters", "dev", "fail", "tasks", "token", "topics", "version", "worker"):
        result = CliRunner().invoke(command.app, [name, "--help"])
        assert result.exit_code == 0, result.output
        assert "Usage:" in result.output


@pytest.mark.parametrize(
    ("error", "code"),
    [(ConfigurationError("set it"), command.EXIT_CONFIGURATION), (KafkaUnavailableError("away"), command.EXIT_FAILURE)],
)
def test_an_error_of_ours_is_one_sentence_and_an_exit_code(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], error: KallbackError, code: int
):
    """No traceback reaches the user; 2 means that a setting must change."""

    def fail() -> None:
        raise error

    monkeypatch.setattr(command, "app", fail)
    with pytest.raises(SystemExit) as ended:
        command.main()
    assert ended.value.code == code
    assert capsys.readouterr().err == f"kallback: {error}\n"


@pytest.mark.parametrize(
    ("target", "complaint"),
    [
        ("kitchen", "MODULE:NAME"),
        ("no_such_module_anywhere:worker", "no module"),
        ("json:loads", "no kallback.workers.Worker"),
    ],
)
def test_a_worker_that_cannot_be_loaded_is_explained(target: str, complaint: str):
    """The sentence says which part of MODULE:NAME is wrong."""
    with pytest.raises(ConfigurationError, match=complaint):
        load_worker(target)


def test_a_broken_import_inside_the_users_module_keeps_its_traceback(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A module that itself imports something missing must not be called missing."""
    (tmp_path / "broken_kitchen.py").write_text("import no_such_dependency\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(ModuleNotFoundError, match="no_such_dependency"):
        load_worker("broken_kitchen:worker")


def test_topics_dry_run_shows_what_would_be_created(monkeypatch: pytest.MonkeyPatch):
    """A dry run asks no broker, and dead letters get more room than results."""
    monkeypatch.setenv("KALLBACK_TOPICS_PREFIX", "shop.")
    result = CliRunner().invoke(topics, ["create", "restaurant.prepare", "--dry-run", "--longest-timeout", "36h"])
    assert result.exit_code == 0, result.output
    assert "shop.results partitions=4" in result.output
    assert "restaurant.prepare partitions=4 cleanup.policy=delete retention.ms=216000000" in result.output
    assert "max.message.bytes=1114112" in result.output


def test_a_length_of_time_without_a_unit_is_refused():
    """The message shows how to write one."""
    result = CliRunner().invoke(topics, ["create", "--longest-timeout", "36"])
    assert result.exit_code == 2
    assert "30m, 36h or 14d" in result.output


def test_a_bridge_without_keys_does_not_start():
    """A lost variable must not open the bridge: the sentence says how to make a key."""
    result = run("bridge")
    assert result.returncode == command.EXIT_CONFIGURATION
    assert "KALLBACK_KEYS" in result.stderr
    assert "Traceback" not in result.stderr
