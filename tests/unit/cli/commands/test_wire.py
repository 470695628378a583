"""`kallback wire check`: arguments, report and exit codes, without a server."""

from __future__ import annotations

import json
from collections.abc import Sequence

import pytest
from click.testing import CliRunner, Result

from kallback.cli.commands import wire as command
from kallback.documentation import page_address
from kallback.protocol import ConfigurationError, Convention, FailureMarks
from kallback.wire_check import CheckResult, CheckVerdict, WireCheckOptions

PASSED = ("good-task", CheckResult(CheckVerdict.PASS, "completed"))
FAILED = ("failure", CheckResult(CheckVerdict.FAIL, "it was completed \x1b[2J"))
MISSING = [(name, CheckResult(CheckVerdict.NOT_COVERED, "no command")) for name in ("restart", "stop")]
Found = Sequence[tuple[str, CheckResult]]


class Checked:
    """What the command asked for, in place of a run."""

    def __init__(self, found: Found) -> None:
        self.found = found
        self.options: WireCheckOptions | None = None
        self.made: list[str] = []

    async def __call__(self, _settings: object, options: WireCheckOptions, made: list[str], _command: object) -> Found:
        """Take the place of `_check`."""
        self.options, self.made = options, made
        return self.found


def run(monkeypatch: pytest.MonkeyPatch, found: Found, *arguments: str) -> tuple[Result, Checked]:
    """Run the command with these verdicts."""
    checked = Checked(found)
    monkeypatch.setattr(command, "_check", checked)
    return CliRunner().invoke(command.wire, ["check", "prepare", *arguments]), checked


def test_each_verdict_is_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """A failure has the page of its rule; checks that are not covered for one reason are one line."""
    result, _ = run(monkeypatch, [PASSED, FAILED, *MISSING])
    assert [line.split() for line in result.stdout.splitlines()] == [
        ["pass", "good-task", "completed"],
        ["fail", "failure", "it", "was", "completed", "\\x1b[2J"],
        ["→", page_address("wire", "how-to-fail")],
        ["not", "covered", "2", "checks", "no", "command"],
    ]
    assert result.stderr == "1 passed, 1 failed, 2 not covered.\n"


def test_json_has_an_object_for_each_check(monkeypatch: pytest.MonkeyPatch) -> None:
    """For scripts."""
    result, _ = run(monkeypatch, [PASSED, *MISSING], "--json")
    assert [json.loads(line)["check"] for line in result.stdout.splitlines()] == ["good-task", "restart", "stop"]
    assert json.loads(result.stdout.splitlines()[0]) == {
        "check": "good-task",
        "verdict": "pass",
        "sentence": "completed",
        "rule": page_address("wire", "what-to-send-the-result-record"),
    }


@pytest.mark.parametrize(("found", "code"), [([PASSED, *MISSING], 0), ([PASSED, FAILED], 1)])
def test_the_exit_code_says_whether_a_check_failed(monkeypatch: pytest.MonkeyPatch, found: Found, code: int) -> None:
    """What is not covered does not count."""
    assert run(monkeypatch, found)[0].exit_code == code


def test_topics_of_its_own_are_made(monkeypatch: pytest.MonkeyPatch) -> None:
    """Named after the environment's prefix, which kallback's own workers answer to."""
    _, checked = run(monkeypatch, [PASSED], "--progress", "theirs")
    assert checked.made == ["kallback.wire-check.prepare.results"]
    assert checked.options is not None
    assert checked.options.topics.progress == "theirs"


@pytest.mark.parametrize(
    ("arguments", "convention", "headers"),
    [([], Convention.KALLBACK, ()), (["--convention", "smallrye:x-error"], Convention.SMALLRYE, ("x-error",))],
)
def test_the_framework_of_the_worker_is_for_its_tasks_and_its_answers(
    monkeypatch: pytest.MonkeyPatch, arguments: list[str], convention: Convention, headers: tuple[str, ...]
) -> None:
    """Errors of all frameworks are detected besides, as bridges do."""
    options = run(monkeypatch, [PASSED], *arguments)[1].options
    assert options is not None
    marks = options.conventions.of("prepare")
    assert (options.convention, marks) == (convention, FailureMarks(headers=frozenset(headers)))


@pytest.mark.parametrize("option", ["--request", "--failing-request", "--long-request"])
def test_a_request_that_is_not_json_is_refused(monkeypatch: pytest.MonkeyPatch, option: str) -> None:
    """Before anything is sent."""
    result, _ = run(monkeypatch, [PASSED], option, "{")
    assert (result.exit_code, "is JSON" in result.stderr or "JSON" in result.stderr) == (2, True)


def test_a_topic_that_names_no_type_needs_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """The token has the type."""
    result, _ = run(monkeypatch, [PASSED], "--type", "no type")
    assert isinstance(result.exception, ConfigurationError)
