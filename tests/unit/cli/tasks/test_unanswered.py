"""`kallback tasks` of an awakeable, of which Kafka has no record, with Restate's answers and Kafka in memory."""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import dataclass
from typing import Any

import pytest
from click.testing import CliRunner, Result
from tests.unit.cli.tasks.test_tasks import ID, INVOCATION, Shop

from kallback.cli.tasks.commands import tasks
from kallback.operations import NotAnswerableError
from kallback.operations.journals.entries import StepRow, ValueRow
from kallback.protocol import ConfigurationError, Keyring, locate_awakeable
from kallback.protocol.links import read_form

KEY = hashlib.sha256(b"a key of this test").digest()
KEYS = f"k1:{base64.b64encode(KEY).decode()}"


@dataclass
class Desk(Shop):
    """One handler waits for one approval."""

    keys: str = KEYS

    def _rows(self, sql: str, kind: type[Any]) -> list[dict[str, Any]]:
        if kind is ValueRow:
            return []
        if kind is not StepRow:
            return super()._rows(sql, kind)
        name, run = "create task approve", {"Command": {"Run": {"completion_id": 3}}}
        step = {"sent": None, "awakeable": {"task_type": "approve", "signal": 17}, "task_id": ID, "created_ms": 5}
        value = {"completion_id": 3, "result": {"Success": list(json.dumps(step, separators=(",", ":")).encode())}}
        entry = json.dumps({"Notification": {"Completion": {"Run": value}}})
        return [{"name": name, "entry_lite_json": json.dumps(run)}, {"entry_lite_json": "{}", "entry_json": entry}]

    def run(self, *arguments: str) -> Result:
        """Run a command."""
        runner = CliRunner(env={"KALLBACK_KEYS": self.keys or None})
        return runner.invoke(tasks, [*arguments], obj=self.factories())


@pytest.fixture
def desk() -> Desk:
    """One."""
    return Desk()


def test_the_list_has_a_line_for_it(desk: Desk) -> None:
    """With a state of its own, by which it can be selected."""
    words = desk.run("list", "--state", "unanswered").stdout.split()
    assert words[:4] == [ID, "approve", "unanswered", "1"]
    assert desk.run("list", "--not-started").stdout == ""


def test_it_is_shown_with_who_can_answer(desk: Desk) -> None:
    """There is neither a request nor a record, and no token is shown."""
    shown = desk.run("show", ID)
    assert shown.exit_code == 0, shown.output
    assert "none: it is an awakeable, which no worker does" in shown.stdout
    assert "who has the token or the link" in shown.stdout
    assert "kb1:" not in shown.stdout
    assert "sign_1" not in shown.stdout
    members = json.loads(desk.run("show", ID, "--json").stdout)
    assert (members["state"], members["topic"], members["failures"]) == ("unanswered", None, 3)


@pytest.mark.parametrize(
    ("command", "value"),
    [
        (("complete", ID, "--value", "true"), True),
        (("fail", ID, "--error-type", "TooExpensive"), "TooExpensive"),
        (("cancel", ID), "urn:kallback:cancelled-by-hand"),
    ],
)
def test_it_is_answered_in_somebodys_name(desk: Desk, command: tuple[str, ...], value: Any) -> None:
    """Through Kafka, with a token that is signed here; no worker is told anything."""
    result = desk.run(*command, "--by", "ann")
    assert result.exit_code == 0, result.output
    headers, sent = desk.sent()
    token = Keyring({"k1": KEY}).verify((headers["kallback-token"] or b"").decode(), "kallback.results")
    assert (sent if isinstance(value, bool) else sent["type"]) == value
    assert (headers["kallback-by"], token.task_id, token.attempt) == (b"ann", ID, 1)
    assert locate_awakeable(token.awakeable_id) == (INVOCATION, 17)
    assert desk.broker.records("kallback.control") == []


@pytest.mark.parametrize("command", ["complete", "fail", "cancel", "link"])
def test_without_a_key_the_setting_is_named(desk: Desk, command: str) -> None:
    """Nothing is sent."""
    desk.keys = ""
    refused = desk.run(command, ID)
    assert isinstance(refused.exception, ConfigurationError)
    assert "KALLBACK_KEYS" in str(refused.exception)
    assert desk.broker.records("kallback.results") == []


@pytest.mark.parametrize("keys", [KEYS, ""])
def test_it_is_not_repeated(desk: Desk, keys: str) -> None:
    """The sentence says what is possible, and asks for no key first."""
    desk.keys = keys
    refused = desk.run("retry", ID)
    assert isinstance(refused.exception, NotAnswerableError)
    assert "has one attempt and no worker" in str(refused.exception)
    assert desk.broker.records("kallback.results") == []


def test_its_link_can_be_handed_out_again(desk: Desk) -> None:
    """A mail gets lost."""
    printed = desk.run("link", ID, "--gateway", "https://answers.example.com")
    assert printed.stdout.startswith(f"https://answers.example.com/v1/kb1:k1:approve:{ID}:1:sign_1")


def test_its_page_with_buttons_can_be_handed_out_again(desk: Desk) -> None:
    """The link has question and answers, signed as a handler signs them; a gateway with the key shows them."""
    choices = ("--choice", "Approve=true", "--choice", 'Ask again = {"in": "May"}')
    printed = desk.run("link", ID, "--gateway", "https://a.example", "--question", "Order the lamp?", *choices)
    token, _, text = printed.stdout.strip().removeprefix("https://a.example/v1/").partition("?form=")
    form = read_form(text, token, Keyring({"k1": KEY}))
    assert form is not None
    shown = [(each.label, bytes(each.value)) for each in form.choices]
    assert (form.question, shown) == ("Order the lamp?", [("Approve", b"true"), ("Ask again", b'{"in": "May"}')])


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--choice", "Approve=true"], "add --question"),
        (["--question", "Q?"], "--choice must be 1 to 8"),
        (["--question", " ", "--choice", "Approve=true"], "--question must have 1 to 500 characters"),
        (["--question", "Q?", "--choice", "Approve"], "write LABEL=JSON"),
        (["--question", "Q?", "--choice", "Approve=yes"], "a text is written in double quotes"),
        (["--question", "Q?", "--choice", "Approve=true", "--token"], "the buttons are in the link"),
    ],
)
def test_a_page_that_cannot_be_is_refused(desk: Desk, options: list[str], said: str) -> None:
    """The sentence says what to write."""
    refused = desk.run("link", ID, "--gateway", "https://a.example", *options)
    assert (refused.exit_code, refused.stdout) == (2, "")
    assert said in refused.stderr
