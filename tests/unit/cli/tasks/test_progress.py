"""`kallback tasks progress`: the status of a task."""

from __future__ import annotations

import json
import time

import msgspec
import pytest
from click.testing import CliRunner, Result
from tests.unit.cli.console.environment import pending, running

from kallback.bridge.restate.requests import HttpAnswer
from kallback.bridge.restate.value_codec import CodecFailedError
from kallback.cli.tasks.progress import MonitorQuery, UnknownTaskError, progress, unmonitored
from kallback.operations import PendingTask, UnreadableJournalsError
from kallback.protocol import (
    AccessDeniedError,
    Attempt,
    ConfigurationError,
    RestateUnavailableError,
    TaskId,
    TaskProgress,
)
from kallback.settings import RestateSettings, Settings

ID = "q8Tzl0b2R6m1cV9x"


def run(*arguments: str, status: int = 200, body: bytes = b"") -> tuple[Result, list[str]]:
    """Run the command against a Restate that answers this; the paths that it asked for."""
    asked = list[str]()

    async def answer(_settings: RestateSettings, path: str) -> HttpAnswer:
        asked.append(path)
        return HttpAnswer(status, body=body)

    async def explain(_settings: Settings, task_id: str) -> str:
        if task_id == ID:
            return f"task {task_id} has ended"
        raise RestateUnavailableError("the admin API gives no answer")

    return CliRunner().invoke(progress, [*arguments], obj=MonitorQuery(answer, explain)), asked


def told(**members: object) -> bytes:
    """What `TaskMonitor` answers."""
    now = int(time.time() * 1000)
    progress = TaskProgress(TaskId(ID), "restaurant.prepare", Attempt(2), now - 65_000)
    return msgspec.json.encode(msgspec.structs.replace(progress, **members))


def test_a_task_under_way_is_shown() -> None:
    """Line by line, with times as people read them."""
    now = int(time.time() * 1000)
    details = msgspec.Raw(b'{"percent": 40}')
    body = told(started_ms=now - 60_000, heartbeat_ms=now - 2_000, details=details, details_ms=now - 30_000)
    result, asked = run(ID, body=body)
    assert (result.exit_code, asked) == (0, [f"/TaskMonitor/{ID}/read"])
    lines = dict(line.split(maxsplit=1) for line in result.stdout.splitlines())
    assert (lines["attempt"], lines["type"], lines["details"]) == ("2", "restaurant.prepare", '{"percent": 40}')
    assert "(1 min" in lines["started"]
    assert "(2 s ago)" in lines["heartbeat"]
    assert "(30 s ago)" in lines["unchanged"]


def test_a_task_that_has_not_started_says_so() -> None:
    """Nothing is left blank."""
    output = run(ID, body=told())[0].stdout
    assert "started     not yet" in output
    assert "heartbeat   none yet" in output
    assert "details     none" in output


def test_json_has_the_keys_of_the_list() -> None:
    """A script reads both with the same names; times in epoch milliseconds, details as JSON in a text."""
    result, _ = run(ID, "--json", body=told(dispatched_ms=5, details=msgspec.Raw(b'{"percent": 1.10}')))
    assert json.loads(result.stdout) == {
        "task": ID,
        "type": "restaurant.prepare",
        "attempt": 2,
        "dispatched": 5,
        "started": None,
        "heartbeat": None,
        "details": '{"percent": 1.10}',
        "details_changed": None,
    }


def test_details_cannot_play_with_the_terminal() -> None:
    """Control characters are shown, not obeyed."""
    output = run(ID, body=told(details=msgspec.Raw('"\x7f\u009b2J"'.encode())))[0].stdout
    assert "\x7f" not in output
    assert "\u009b" not in output


def test_what_is_no_id_is_refused() -> None:
    """Whatever is typed, no other handler is reached, and nothing of great length is repeated."""
    for typed in ("../NotifierService/ack?", "", "x" * 10_000):
        result, asked = run(typed, status=404)
        assert (result.exit_code, asked) == (2, [])
        assert "is not the id of a task" in result.stderr
        assert len(result.stderr) < 500


def test_the_monitor_of_the_environment_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each environment of a Restate has its own; during an upgrade the old one may know the task."""
    monkeypatch.setenv("KALLBACK_TOPICS_PREFIX", "team-a.")
    assert run(ID, body=told())[1] == [f"/TaskMonitor.team-a.results/{ID}/read"]
    monkeypatch.setenv("KALLBACK_RESTATE_OLD_SERVICE_NAMES", "1")
    assert run(ID, status=404)[1] == [f"/TaskMonitor.team-a.results/{ID}/read", f"/TaskMonitor/{ID}/read"]


@pytest.mark.parametrize(
    ("status", "message", "error", "said"),
    [
        (404, "no task x is watched", UnknownTaskError, f"task {ID} has ended"),
        (404, "service 'TaskMonitor' not found", ConfigurationError, "callbacks.app([...])"),
        (401, "", AccessDeniedError, "KALLBACK_RESTATE_AUTH_TOKEN"),
        (503, "later", RestateUnavailableError, "try again"),
    ],
)
def test_each_refusal_has_its_sentence(status: int, message: str, error: type[Exception], said: str) -> None:
    """And its error, from which the exit code follows."""
    result, _ = run(ID, status=status, body=json.dumps({"message": message}).encode())
    assert type(result.exception) is error
    assert said in str(result.exception)


def test_something_that_is_no_restate_is_named() -> None:
    """The sentence says what to set."""
    result, _ = run(ID, body=b"<html>")
    assert "KALLBACK_RESTATE_INGRESS_URL" in str(result.exception)


def test_a_restate_that_is_away_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    """The real connection, to a port where no server listens."""
    monkeypatch.setenv("KALLBACK_RESTATE_INGRESS_URL", "http://127.0.0.1:9")
    result = CliRunner().invoke(progress, [ID])
    assert type(result.exception) is RestateUnavailableError
    assert "check that Restate runs and KALLBACK_RESTATE_INGRESS_URL names it" in str(result.exception)


def test_where_the_cause_cannot_be_told_all_are_named() -> None:
    """Without access to the admin API the command works all the same."""
    result, _ = run("A" * 16, status=404, body=b'{"message": "no task x is watched"}')
    said = str(result.exception)
    assert said.startswith(f"task {'A' * 16} is not monitored: it has ended, the id is wrong, or its type")
    assert said.endswith("Which it is cannot be told: the admin API gives no answer")


@pytest.mark.parametrize(
    ("task", "said"),
    [
        (pending(), "is pending, and is not monitored, because its type shop.pack has neither start_timeout nor"),
        (pending(signal=17), "is an awakeable, which no worker does and so nothing monitors: see kallback tasks show"),
        (pending(progress=running()), "was not monitored yet a moment ago: ask again"),
    ],
)
def test_the_cause_that_is_known_is_told(task: PendingTask, said: str) -> None:
    """One, and not a list of what it may be."""
    assert said in unmonitored(task)


def test_an_answer_that_cannot_be_read_names_the_codec() -> None:
    """Services with a journal value codec answer with bytes that only it can read: no address is wrong."""
    result, _ = run(ID, body=b"\x00\x93sealed")
    assert type(result.exception) is ConfigurationError
    assert "set KALLBACK_RESTATE_JOURNAL_VALUE_CODEC to it" in str(result.exception)


def test_a_codec_that_does_not_fit_is_named_as_what_is_wrong() -> None:
    """Restate has answered: neither it nor its address is at fault."""

    async def answer(_settings: RestateSettings, _path: str) -> HttpAnswer:
        raise CodecFailedError("the journal value codec cannot decode a value (ValueError)")

    error = CliRunner().invoke(progress, [ID], obj=MonitorQuery(answer)).exception
    assert type(error) is ConfigurationError
    assert "set KALLBACK_RESTATE_JOURNAL_VALUE_CODEC to the codec of the services" in str(error)
    assert "INGRESS_URL" not in str(error)


def test_journals_that_cannot_be_read_do_not_lead_back_to_this_command() -> None:
    """What asks the journals for a task advises `tasks progress`; here that was done already."""

    async def answer(_settings: RestateSettings, _path: str) -> HttpAnswer:
        return HttpAnswer(404, body=b'{"message": "no task x is watched"}')

    async def explain(_settings: Settings, _task_id: str) -> str:
        raise UnreadableJournalsError("3 cannot: `kallback tasks progress` asks TaskMonitor")

    said = str(CliRunner().invoke(progress, [ID], obj=MonitorQuery(answer, explain)).exception)
    assert "tasks progress" not in said
    assert f"`kallback outcomes list --task {ID}`" in said
