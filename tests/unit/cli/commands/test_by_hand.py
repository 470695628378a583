"""`kallback complete` and `kallback fail`: a result by hand."""

from __future__ import annotations

import base64
import hashlib
import sys
import time
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from kallback.bridge import Accepted, Completion, FunctionCompleter, Misconfigured, Rejected, Reply, Retry, TooLarge
from kallback.cli.commands.by_hand import CompleterFactory, NotCompletedError, complete, fail
from kallback.protocol import (
    AccessDeniedError,
    Attempt,
    AwakeableId,
    Completed,
    ConfigurationError,
    Failed,
    Keyring,
    RestateUnavailableError,
    Token,
    UnverifiedError,
    task_id_of,
)

AWAKEABLE = AwakeableId("sign_1Aud7hsqsnEFJWhywH06JmTmTJNSRLgflAAAAEQ")
KEY = hashlib.sha256(b"one").digest()
ENV = {"KALLBACK_KEYS": "k1:" + base64.b64encode(KEY).decode()}
TASK = task_id_of(b"1" * 12)


def token(deadline: float | None = None, key: bytes = KEY) -> str:
    """A token's text; `deadline` in seconds from now."""
    deadline_ms = 0 if deadline is None else int((time.time() + deadline) * 1000)
    return Keyring({"k1": key}).sign(Token("shop.pack", TASK, Attempt(1), AWAKEABLE, deadline_ms), "kallback.results")


class Restate:
    """Takes completions, and replies what it is told to."""

    def __init__(self, reply: Reply | None = None) -> None:
        self.reply = reply or Accepted()
        self.posted: list[Completion] = []

    async def take(self, completion: Completion) -> Reply:
        """One completion."""
        self.posted.append(completion)
        return self.reply

    def run(self, command: Any, *arguments: str, stdin: str | None = None) -> Result:
        """Run a command against it."""
        return CliRunner(env=ENV).invoke(
            command, arguments, input=stdin, obj=CompleterFactory(lambda _: FunctionCompleter(self.take))
        )


def test_a_result_is_handed_over() -> None:
    """And the sentence says what Restate does not."""
    restate = Restate()
    result = restate.run(complete, token(), "--json", '{"n": 1.10}')
    assert (result.exit_code, restate.posted[0].answer) == (0, Completed(b'{"n": 1.10}'))
    assert f"shop.pack, task {TASK}, attempt 1" in result.stdout
    assert "does not say whether a handler still waits" in result.stdout


def test_a_file_is_handed_over_byte_for_byte(tmp_path: Path) -> None:
    """As a worker would have sent it."""
    restate = Restate()
    (tmp_path / "result.json").write_bytes(b"[ 1,  2 ]\n")
    assert restate.run(complete, token(), "--file", str(tmp_path / "result.json")).exit_code == 0
    assert restate.posted[0].answer == Completed(b"[ 1,  2 ]\n")


def test_the_token_may_come_from_standard_input() -> None:
    """So that it stays out of the shell's history."""
    restate = Restate()
    assert restate.run(complete, "-", stdin=token() + "\n").exit_code == 0
    assert restate.posted[0].answer == Completed(b"null")


def test_an_error_type_that_is_empty_is_refused() -> None:
    """As of a variable of a script that is not set: the handler would get an error without a type."""
    restate = Restate()
    result = restate.run(fail, token(), "--error-type", "")
    assert (result.exit_code, "it is empty" in result.stderr, restate.posted) == (2, True, [])


def test_a_failure_is_handed_over() -> None:
    """As the problem that the options describe."""
    restate = Restate()
    options = ("--error-type", "OutOfStock", "--status", "422", "--detail", "no basil", "--not-retryable")
    assert restate.run(fail, token(), *options).exit_code == 0
    answer = restate.posted[0].answer
    assert isinstance(answer, Failed)
    problem = answer.problem()
    assert (problem.type, problem.status, problem.detail, problem.retryable) == ("OutOfStock", 422, "no basil", False)


@pytest.mark.parametrize(
    ("reply", "error", "said"),
    [
        (Retry("503", "answers 503"), RestateUnavailableError, "may succeed later"),
        (Rejected("bad id"), NotCompletedError, "a retry changes nothing: bad id"),
        (TooLarge("413"), NotCompletedError, "too large"),
        (Misconfigured("404", "set the url"), ConfigurationError, "set the url"),
        (Misconfigured("401", "set the key", denied=True), AccessDeniedError, "set the key"),
    ],
)
def test_each_reply_has_its_sentence(reply: Reply, error: type[Exception], said: str) -> None:
    """And its error, from which the exit code follows."""
    result = Restate(reply).run(complete, token())
    assert type(result.exception) is error
    assert said in str(result.exception)


def refused(restate: Restate, *arguments: str, command: Any = complete) -> BaseException:
    """Run a command that must not reach Restate; its error."""
    result = restate.run(command, *arguments)
    assert (restate.posted, result.exit_code) == ([], 1)
    assert result.exception is not None
    return result.exception


def test_a_forged_token_is_refused() -> None:
    """The error names the reason, and does not quote the token."""
    text = token(key=b"2" * 32)
    error = refused(Restate(), text)
    assert isinstance(error, UnverifiedError)
    assert ("wrong-tag" in str(error), text.rpartition(":")[2] in str(error)) == (True, False)


def test_a_late_one_needs_force() -> None:
    """The handler's own timer is the authority, so it does no harm."""
    restate = Restate()
    assert "--force" in str(refused(restate, token(deadline=-60)))
    assert restate.run(complete, token(deadline=-60), "--force").exit_code == 0
    assert len(restate.posted) == 1


def test_what_is_no_json_is_not_sent() -> None:
    """And nothing is failed in its place: a person can type it again."""
    assert "not a result" in str(refused(Restate(), token(), "--json", "oops"))


def test_a_bare_awakeable_must_be_asked_for() -> None:
    """As a bridge wants it."""
    restate = Restate()
    assert "allow-bare-awakeables" in str(refused(restate, AWAKEABLE))
    assert restate.run(complete, AWAKEABLE, "--allow-bare-awakeables", "--json", "1").exit_code == 0


def test_two_results_are_one_too_many() -> None:
    """Nothing is guessed."""
    result = Restate().run(complete, token(), "--json", "1", "--file", "-")
    assert (result.exit_code, "--json or --file" in result.output) == (2, True)


def test_without_keys_nothing_is_sent() -> None:
    """The token could not be verified."""
    restate = Restate()
    result = CliRunner(env={"KALLBACK_KEYS": ""}).invoke(
        complete, [token()], obj=CompleterFactory(lambda _: FunctionCompleter(restate.take))
    )
    assert (restate.posted, isinstance(result.exception, ConfigurationError)) == ([], True)


SHARED = """
from dataclasses import dataclass
from kallback.protocol import TaskType

@dataclass
class Packed:
    shelf: str

pack = TaskType("shop.pack", request=str, result=Packed)
ship = TaskType("shop.ship", request=str, result=Packed)
"""


@pytest.fixture
def shared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Generator[str]:
    """A module of the user, with two task types."""
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "shared_by_hand.py").write_text(SHARED)
    yield "shared_by_hand"
    sys.modules.pop("shared_by_hand", None)


@pytest.mark.parametrize(
    ("value", "name", "complaint"),
    [
        ('{"shelf": 5}', "pack", "nothing was sent: it"),
        ("null", "pack", "nothing was sent: it"),
        ("{", "pack", "nothing was sent: it"),
        ('{"shelf": "B4"}', "ship", "the token is one of task type shop.pack, not of shop.ship"),
    ],
)
def test_a_result_that_does_not_fit_its_type_keeps_the_token(
    shared: str, value: str, name: str, complaint: str
) -> None:
    """Restate takes the first completion only: a wrong one could not be corrected."""
    restate = Restate()
    result = restate.run(complete, token(), "--json", value, "--type", f"{shared}:{name}")
    assert isinstance(result.exception, NotCompletedError)
    assert (complaint in str(result.exception), restate.posted) == (True, [])


def test_a_result_that_fits_its_type_is_handed_over(shared: str) -> None:
    """Byte for byte, as without the check."""
    restate = Restate()
    restate.run(complete, token(), "--json", '{"shelf":  "B4"}', "--type", f"{shared}:pack")
    assert restate.posted[0].answer == Completed(b'{"shelf":  "B4"}')


def test_a_malformed_token_has_the_sentence_of_token_inspect() -> None:
    """One sentence for one fault."""
    for command in (complete, fail):
        result = Restate().run(command, "no-token")
        assert str(result.exception) == "not a token: it does not begin with kb1:"
