"""`kallback token inspect`."""

from __future__ import annotations

import base64
import hashlib
import json

import pytest
from click.testing import CliRunner, Result

from kallback.cli.commands.token import token
from kallback.protocol import Attempt, AwakeableId, Keyring, Token, UnverifiedError, task_id_of

AWAKEABLE = AwakeableId("sign_1Aud7hsqsnEFJWhywH06JmTmTJNSRLgflAAAAEQ")
KEY = hashlib.sha256(b"one").digest()
KEYS = "k1:" + base64.b64encode(KEY).decode()
CLAIMS = Token("shop.pack", task_id_of(b"1" * 12), Attempt(3), AWAKEABLE, 1_700_000_000_000)
TEXT = Keyring({"k1": KEY}).sign(CLAIMS, "kallback.results")
TAG = TEXT.rpartition(":")[2]


def inspect(text: str, *, stdin: str | None = None, keys: str | None = None) -> Result:
    """Run the command with these keys."""
    return CliRunner(env={"KALLBACK_KEYS": keys}).invoke(token, ["inspect", text], input=stdin)


def test_it_says_what_the_token_says() -> None:
    """Key, type, task, attempt, awakeable, deadline and that it has passed."""
    output = inspect(TEXT).stdout
    for part in ("k1", "shop.pack", CLAIMS.task_id, "3", AWAKEABLE, "inv_15DfzBx64z2q6YawybJmRANj0akDldwVLj"):
        assert part in output
    assert "2023-11-14 22:13:20Z, passed" in output


@pytest.mark.parametrize("keys", [None, KEYS])
def test_the_tag_is_never_printed(keys: str | None) -> None:
    """With keys or without."""
    result = inspect(TEXT, keys=keys)
    assert (result.exit_code, TAG in result.output) == (0, False)


def test_it_reads_standard_input() -> None:
    """So that the token stays out of the shell's history."""
    assert "shop.pack" in inspect("-", stdin=TEXT + "\n").stdout


def test_standard_input_that_is_no_text_is_no_token() -> None:
    """The error is the one of any malformed token."""
    result = CliRunner().invoke(token, ["inspect", "-"], input=b"\xff\xfe")
    assert isinstance(result.exception, UnverifiedError)


def test_with_keys_it_says_whether_the_token_is_good() -> None:
    """For this audience."""
    assert "valid for kallback.results, signed with key k1" in inspect(TEXT, keys=KEYS).stdout


def test_a_tag_that_does_not_fit_is_said_and_is_an_error() -> None:
    """Scripts see the exit code."""
    result = inspect(TEXT, keys="k1:" + base64.b64encode(hashlib.sha256(b"two").digest()).decode())
    assert "NOT VALID for kallback.results: wrong-tag" in result.stdout
    assert isinstance(result.exception, UnverifiedError)


def test_without_keys_it_says_that_nothing_was_checked() -> None:
    """Silence would look like a yes."""
    assert "not checked: set KALLBACK_KEYS" in inspect(TEXT).stdout


def test_no_deadline_is_said() -> None:
    """The caller waits for ever."""
    text = Keyring({"k1": KEY}).sign(Token("t", CLAIMS.task_id, Attempt(1), AWAKEABLE), "a")
    assert "none: the caller waits without a limit" in inspect(text).stdout


def test_a_malformed_token_is_an_error_that_names_the_part() -> None:
    """And quotes nothing."""
    result = inspect(TEXT.replace(":3:", ":0:"))
    assert isinstance(result.exception, UnverifiedError)
    assert "part 5" in str(result.exception)


def test_a_bare_awakeable_is_explained() -> None:
    """It is no token, but it is what some workers echo."""
    output = inspect(AWAKEABLE).stdout
    assert ("not authenticated" in output, "signal 17 of invocation inv_1" in output) == (True, True)


@pytest.mark.parametrize(("keys", "valid"), [(None, None), (KEYS, True)])
def test_json_has_the_claims_and_the_verdict(keys: str | None, valid: bool | None) -> None:  # noqa: FBT001 - a parameter of the test
    """For scripts: the deadline in epoch milliseconds, null where nothing was checked."""
    result = CliRunner(env={"KALLBACK_KEYS": keys}).invoke(token, ["inspect", TEXT, "--json"])
    shown = json.loads(result.stdout)
    assert (shown["task"], shown["attempt"], shown["deadline"]) == (CLAIMS.task_id, 3, 1_700_000_000_000)
    assert (shown["valid"], shown["audience"], shown["reason"]) == (valid, "kallback.results", None)
    assert TAG not in result.stdout


def test_json_of_a_token_that_is_not_valid_says_why() -> None:
    """And the exit code is 1."""
    other = "k1:" + base64.b64encode(hashlib.sha256(b"two").digest()).decode()
    result = CliRunner(env={"KALLBACK_KEYS": other}).invoke(token, ["inspect", TEXT, "--json"])
    shown = json.loads(result.stdout)
    assert (shown["valid"], shown["reason"], isinstance(result.exception, UnverifiedError)) == (
        False,
        "wrong-tag",
        True,
    )


def test_json_of_a_bare_awakeable_has_no_claims() -> None:
    """It has a place in Restate and nothing else."""
    result = CliRunner().invoke(token, ["inspect", AWAKEABLE, "--json"])
    assert json.loads(result.stdout).keys() == {"bare", "awakeable", "invocation", "signal"}
