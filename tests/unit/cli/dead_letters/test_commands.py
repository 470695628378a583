"""`kallback dead-letters` on a broker in memory."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner
from tests.unit.cli.dead_letters.environment import AWAKEABLE, DEAD, HOUR, KEY, KEYS, RESULTS, TOKEN, DeadLetterEnv

from kallback.cli import confirmation
from kallback.cli.dead_letters import replay as replay_command
from kallback.cli.dead_letters.commands import dead_letters
from kallback.kafka import (
    LetterSummary,
    MemoryProducer,
    OffsetRange,
    OutgoingRecord,
    Position,
    Record,
)
from kallback.kafka.dead_letters.summaries import LastRecord
from kallback.protocol import (
    Attempt,
    ConfigurationError,
    KafkaUnavailableError,
    KallbackError,
    Keyring,
    MissingTopicError,
    TaskHeaders,
    Token,
    completed_headers,
    task_id_of,
)


@pytest.fixture
def env(monkeypatch: pytest.MonkeyPatch) -> DeadLetterEnv:
    """Without log set-up, which would outlive the test."""
    monkeypatch.setattr("kallback.cli.dead_letters.commands.configure_logs", lambda: None)
    monkeypatch.delenv("KALLBACK_TOPICS_PREFIX", raising=False)
    return DeadLetterEnv()


def test_list_shows_one_line_each(env: DeadLetterEnv) -> None:
    """Id, time, reason, where from, task type, size."""
    env.dead_letter()
    (line,) = env.run("list").stdout.splitlines()
    cells = line.split()
    assert (cells[0], *cells[3:]) == ("0:0", "unknown-key", f"{RESULTS}[2]@42", "shop.pack", "11", "B")


def test_list_counts_what_is_there(env: DeadLetterEnv) -> None:
    """Also where nothing matches: people see what they could have meant."""
    env.dead_letter("late")
    env.dead_letter("late")
    result = env.run("list", "--reason", "unknown-key")
    assert (result.stdout, result.stderr) == ("", "0 of 2 dead letters; all by reason: 2 late.\n")


def test_a_forged_summary_counts_as_what_it_is(env: DeadLetterEnv) -> None:
    """What is not listed as a dead letter is not counted as one."""
    env.dead_letter("late")
    [letter] = env.broker.records(DEAD)
    forged = (*letter.headers, ("kallback-dead-summary", b'{"count": 9}'))
    env.broker.append(OutgoingRecord(DEAD, letter.value, letter.key, forged))
    result = env.run("list")
    assert len(result.stdout.splitlines()) == 1
    assert result.stderr == "1 of 1 dead letter; all by reason: 1 late; 1 record not written by kallback.\n"


def test_list_of_nothing_says_so(env: DeadLetterEnv) -> None:
    """An empty answer is an answer."""
    assert env.run("list").stderr == "No dead letters.\n"


@pytest.mark.parametrize(
    ("arguments", "wanted"),
    [
        (["--reason", "late"], ["0:1"]),
        (["--reason", "late", "--reason", "not-a-task"], ["0:1", "0:2"]),
        (["--type", "shop.pack"], ["0:0", "0:1"]),
        (["--type", "shop.ship"], ["0:2"]),
        (["--topic", "nowhere"], []),
        (["--since", "2h"], ["0:1", "0:2"]),
        (["--until", "2h"], ["0:0"]),
        (["--since", "2000-01-01"], ["0:0", "0:1", "0:2"]),
        (["--limit", "2"], ["0:0", "0:1"]),
    ],
)
def test_list_filters(env: DeadLetterEnv, arguments: list[str], wanted: list[str]) -> None:
    """By reason, type, topic and time; the oldest first."""
    env.dead_letter(ago=3 * HOUR)
    env.dead_letter("late", ago=1 * HOUR)
    env.dead_letter("not-a-task", headers=(("kallback-type", b"shop.ship"),))
    assert env.rows(*arguments) == wanted


@pytest.mark.parametrize("text", ["yesterday", "2w", "", "25:00"])
def test_a_time_that_cannot_be_read_is_refused(env: DeadLetterEnv, text: str) -> None:
    """The sentence shows how to write one."""
    result = env.run("list", "--since", text)
    assert result.exit_code == 2
    assert "2026-01-31T12:00" in result.stderr


def test_a_hostile_record_cannot_drive_the_terminal(env: DeadLetterEnv) -> None:
    """Escape sequences are shown, not obeyed."""
    env.dead_letter(
        "\x1b[2J", value=b"\x1b]0;owned\x07", headers=(("\x1b[31m", b"\x1b[0m"), ("kallback-type", b"\x1b[1m"))
    )
    assert "\x1b" not in env.run("list").stdout + env.run("list").stderr + env.run("show", "0:0").stdout


def test_no_token_is_shown_whole(env: DeadLetterEnv) -> None:
    """Neither the tag nor the awakeable id: not from headers, not from a value, not in JSON."""
    body = json.dumps({"kallback": {"version": 1, "token": TOKEN}, "awakeable": AWAKEABLE, "list": [TOKEN, TOKEN]})
    env.dead_letter(
        value=body.encode(), headers=(("kafka_correlationId", TOKEN.encode()), ("x", b"a " + TOKEN.encode()))
    )
    env.dead_letter(TOKEN)
    commands = (["show", "0:0"], ["show", "0:0", "--json"], ["list"], ["list", "--json"])
    output = "".join(env.run(*arguments).stdout for arguments in commands)
    assert TOKEN.rpartition(":")[2] not in output
    assert AWAKEABLE not in output
    assert "kb1:k2:shop.pack" in output


def test_show_tells_what_to_do(env: DeadLetterEnv) -> None:
    """The reason, its meaning and the remedy; headers and value readable."""
    env.dead_letter()
    text = env.run("show", "0:0").stdout
    for part in ("unknown-key", "because", "kallback dead-letters replay --reason", '{"ok":true}', "completed"):
        assert part in " ".join(text.split())


def test_show_as_json_has_everything(env: DeadLetterEnv) -> None:
    """The members of list, the help on the reason, and the record."""
    env.dead_letter(headers=(("a", None), ("a", b"\xff"), ("kallback-token", TOKEN.encode())))
    shown = json.loads(env.run("show", "0:0", "--json").stdout)
    (listed,) = [json.loads(line) for line in env.run("list", "--json").stdout.splitlines()]
    assert {name: shown[name] for name in listed} == listed
    assert (shown["key"], shown["value"], "replay" in shown["remedy"]) == ("k", '{"ok":true}', True)
    assert shown["headers"][:2] == [["a", None], ["a", "0xff"]]
    assert shown["headers"][2][1].startswith("kb1:k2:shop.pack:")


def test_show_as_json_says_what_is_missing(env: DeadLetterEnv) -> None:
    """A stub whose record is gone has neither key nor value."""
    env.dead_letter("not-json", value=b"x" * 2_000_000)
    shown = json.loads(env.run("show", "0:0", "--json").stdout)
    assert ("gone" in shown["missing"], "value" in shown, shown["stub"]) == (True, False, True)


def test_show_writes_the_value_as_it_is(env: DeadLetterEnv, tmp_path: Path) -> None:
    """Byte for byte, whatever it is."""
    env.dead_letter(value=b"\xff\x00")
    env.run("show", "0:0", "--raw-value", str(tmp_path / "value"))
    assert (tmp_path / "value").read_bytes() == b"\xff\x00"


def test_a_file_that_cannot_be_written_is_a_sentence(env: DeadLetterEnv, tmp_path: Path) -> None:
    """Its folder does not exist."""
    env.dead_letter()
    with pytest.raises(ConfigurationError, match="choose another file"):
        env.run("show", "0:0", "--raw-value", str(tmp_path / "nowhere" / "value"))


def test_show_of_nothing_says_so(env: DeadLetterEnv) -> None:
    """Perhaps its retention is over."""
    with pytest.raises(KallbackError, match="there is no dead letter 0:7"):
        env.run("show", "0:7")


def test_show_of_a_record_of_another_kind_says_so(env: DeadLetterEnv) -> None:
    """Anybody may write to a topic."""
    env.broker.append(OutgoingRecord(DEAD, b"hello"))
    with pytest.raises(KallbackError, match="kallback did not write"):
        env.run("show", "0:0")


def test_replay_sends_byte_for_byte(env: DeadLetterEnv) -> None:
    """Key, value and headers, to where it came from."""
    env.dead_letter()
    assert env.run("replay", "0:0", "--yes").stdout == "Replayed 1 of 1 dead letter.\n"
    (record,) = env.sent()
    assert (record.key, record.value, record.headers) == (b"k", b'{"ok":true}', completed_headers(TOKEN))


def test_replay_goes_on_where_it_stopped(env: DeadLetterEnv) -> None:
    """What was replayed is neither listed nor sent again."""
    for _ in range(3):
        env.dead_letter()
    env.run("replay", "--reason", "unknown-key", "--limit", "1", "--yes")
    assert env.rows() == ["0:1", "0:2"]
    assert env.run("replay", "--reason", "unknown-key", "--yes").stdout == "Replayed 2 of 2 dead letters.\n"
    assert env.run("replay", "--all", "--yes").stdout == "Nothing to replay.\n"
    assert (len(env.sent()), env.rows("--replayed")) == (3, ["0:0", "0:1", "0:2"])


def test_a_replay_says_who_did_it_and_why(env: DeadLetterEnv) -> None:
    """In the list and with the dead letter, for people and for programs."""
    env.dead_letter()
    env.dead_letter()
    env.run("replay", "0:0", "--yes", "--by", "ann", "--why", "the key is back")
    listed = env.run("list", "--replayed").stdout.splitlines()
    shown = env.run("show", "0:0").stdout
    program = json.loads(env.run("show", "0:0", "--json").stdout)

    assert listed[0].endswith(" by ann: the key is back")
    assert listed[1].endswith("not yet")
    assert " by ann: the key is back\n" in shown
    assert (program["replayed_by"], program["replayed_why"]) == ("ann", "the key is back")
    assert json.loads(env.run("show", "0:1", "--json").stdout)["replayed_by"] is None


def test_a_user_without_a_name_can_replay(env: DeadLetterEnv, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in some containers: the marker then names none."""

    def unknown() -> str:
        raise KeyError

    monkeypatch.setattr("getpass.getuser", unknown)
    env.dead_letter()
    assert env.run("replay", "0:0", "--yes").stdout == "Replayed 1 of 1 dead letter.\n"
    assert " by " not in env.run("list", "--replayed").stdout


def test_replay_again_sends_again(env: DeadLetterEnv) -> None:
    """On demand only."""
    env.dead_letter()
    env.run("replay", "0:0", "--yes")
    env.run("replay", "0:0", "--yes", "--again")
    assert len(env.sent()) == 2


@pytest.mark.parametrize(
    ("module", "arguments"),
    [
        ("listing", ["list"]),
        ("commands", ["show", "0:0"]),
        ("replay", ["replay", "--all", "--dry-run"]),
    ],
)
def test_reading_the_topic_is_said(
    env: DeadLetterEnv, monkeypatch: pytest.MonkeyPatch, module: str, arguments: list[str]
) -> None:
    """It takes minutes if the topic is large."""
    said: list[str] = []

    @contextmanager
    def activity(text: str) -> Iterator[None]:
        said.append(text)
        yield

    monkeypatch.setattr(sys.modules[f"kallback.cli.dead_letters.{module}"], "activity", activity)
    env.dead_letter()
    env.run(*arguments)
    assert said == [f"reading {DEAD}"]


def test_a_dry_run_sends_nothing(env: DeadLetterEnv) -> None:
    """It shows what would be sent, and where to."""
    env.dead_letter()
    result = env.run("replay", "--all", "--dry-run")
    assert (env.sent(), result.stdout.split()[0]) == ([], "0:0")
    assert f"1 to {RESULTS} would be sent" in result.stderr


def test_a_dry_run_says_how_the_list_stays_the_same(env: DeadLetterEnv) -> None:
    """The run that sends chooses anew: what it says leaves out what arrives until then. Ids choose the same anyway."""
    env.dead_letter(ago=60)
    said = env.run("replay", "--all", "--dry-run").stderr
    until = said.partition("A later run also sends what matches and is dead-lettered by then; --until ")[2].split()[0]
    env.dead_letter(ago=-60)
    assert "0:1" not in env.run("replay", "--all", "--dry-run", "--until", until).stdout
    assert "later run" not in env.run("replay", "0:0", "--dry-run").stderr


def test_what_another_replay_sends_before_the_confirmation_is_left_out(
    env: DeadLetterEnv, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The plan did not know that replay, and would send the same a second time."""
    for number in range(2):
        env.dead_letter(value=b"%d" % number)

    def confirm(_question: str, *, yes: bool) -> None:
        if not yes:
            env.run("replay", "0:1", "--yes")

    monkeypatch.setattr(replay_command, "confirm", confirm)
    result = env.run("replay", "--all", "--json")

    assert [record.value for record in env.sent()] == [b"1", b"0"]
    assert "1 dead letter not sent here: another replay sent it." in result.stderr
    assert "Replay the same again" not in result.stderr
    members = json.loads(result.stdout)
    assert (members["chosen"], members["sent"], members["already_replayed"]) == (2, 1, 1)


def test_nothing_is_replayed_by_accident(env: DeadLetterEnv) -> None:
    """Without a filter it wants --all; where it cannot ask it requires --yes."""
    env.dead_letter()
    with pytest.raises(ConfigurationError, match="no dead letters selected"):
        env.run("replay", "--yes")
    with pytest.raises(ConfigurationError, match="rerun with --yes"):
        env.run("replay", "--all")
    assert env.sent() == []


@pytest.mark.parametrize(("answer", "count"), [("y\n", 1), ("n\n", 0), ("\n", 0)])
def test_on_a_terminal_it_asks(env: DeadLetterEnv, monkeypatch: pytest.MonkeyPatch, answer: str, count: int) -> None:
    """And takes only yes for a yes."""

    class Terminal:
        """A standard input that somebody sits at."""

        stdin = type("Stdin", (), {"isatty": staticmethod(lambda: True)})
        stdout = stderr = type("Out", (), {"isatty": staticmethod(lambda: False)})

    env.dead_letter()
    monkeypatch.setattr(confirmation, "sys", Terminal)
    CliRunner().invoke(dead_letters, ["replay", "--all"], obj=env.clients, input=answer)
    assert len(env.sent()) == count


@pytest.mark.parametrize("topic", ["control", "progress", "outcomes", "dead-letters"])
def test_a_forged_source_is_not_replayed(env: DeadLetterEnv, topic: str) -> None:
    """A cancel would be sent with the operator's permissions; the other dead letters are replayed."""
    env.broker.create_topic("kallback.control")
    env.dead_letter(source=Record(f"kallback.{topic}", 0, 1, 1, b"k", b"{}", ()))
    env.dead_letter()
    before = len(env.broker.records(DEAD))
    with pytest.raises(KallbackError, match=rf"0:0\): kallback never dead-letters records of kallback\.{topic}"):
        env.run("replay", "--all", "--yes")
    assert (env.broker.records("kallback.control"), len(env.sent())) == ([], 1)
    assert len(env.broker.records(DEAD)) == before + 1  # the replay marker


def test_no_record_is_replayed_to_the_control_topic(env: DeadLetterEnv) -> None:
    """Nor to any other topic that only kallback writes to."""
    env.dead_letter()
    with pytest.raises(ConfigurationError, match="name a results topic or a task topic"):
        env.run("replay", "0:0", "--to", "kallback.control", "--yes")


def test_a_missing_topic_stops_before_anything_is_sent(env: DeadLetterEnv) -> None:
    """The letters stay as they are."""
    env.dead_letter()
    with pytest.raises(MissingTopicError, match="nowhere"):
        env.run("replay", "--all", "--to", "nowhere", "--yes")
    assert env.rows() == ["0:0"]


def test_an_interrupted_replay_says_how_to_go_on(env: DeadLetterEnv) -> None:
    """What was sent is told and noted; the error is told too."""
    for _ in range(2):
        env.dead_letter()
    env.clients = replace(env.clients, producer=lambda: FailsOnce(env.broker))
    result = CliRunner().invoke(dead_letters, ["replay", "--all", "--yes"], obj=env.clients)
    assert isinstance(result.exception, KafkaUnavailableError)
    assert "Replayed 1 of 2 dead letters.\n" in result.stdout
    assert "Replay the same again to continue with the rest" in result.stderr
    assert len(env.rows()) == 1


class FailsOnce(MemoryProducer):
    """Its first record does not get through."""

    failed = False

    async def send(self, record: OutgoingRecord) -> Position:
        """Fail, then work."""
        if not self.failed:
            self.failed = True
            raise KafkaUnavailableError("away")
        return await super().send(record)


def test_a_stub_whose_record_is_gone_is_told(env: DeadLetterEnv) -> None:
    """It cannot be replayed, and the sentence says why."""
    env.dead_letter("not-json", value=b"x" * 2_000_000)
    assert "cannot be replayed" in env.run("show", "0:0").stdout
    with pytest.raises(KallbackError, match=r"1 \(for example 0:0\): .* is gone"):
        env.run("replay", "--all", "--yes")


@pytest.mark.parametrize(("reason", "is_useless"), [("not-json", True), ("unknown-key", False)])
def test_the_plan_names_what_no_replay_helps(env: DeadLetterEnv, reason: str, *, is_useless: bool) -> None:
    """A worker must be corrected for it; a missing key can come."""
    env.dead_letter(reason)
    said = env.run("replay", "--all", "--dry-run", "--unverified").stderr
    assert (f"A replay changes nothing for 1 {reason}" in said) is is_useless


def test_a_stub_is_replayed_from_its_source(env: DeadLetterEnv) -> None:
    """As long as the record lies there."""
    env.broker.create_topic("big", largest=5_000_000)
    env.broker.append(OutgoingRecord("big", b"x" * 2_000_000, b"k"))
    env.dead_letter("not-json", source=env.broker.records("big")[0])
    env.run("replay", "--all", "--yes", "--allow-topic", "big", "--unverified")
    assert [len(record.value or b"") for record in env.broker.records("big")] == [2_000_000, 2_000_000]


@pytest.mark.parametrize("text", ["fast", "0/s", "-1", "5/h"])
def test_a_rate_that_cannot_be_read_is_refused(env: DeadLetterEnv, text: str) -> None:
    """The sentence shows how to write one."""
    result = env.run("replay", "--all", "--rate", text)
    assert (result.exit_code, "50/s or 30/m" in result.stderr) == (2, True)


def test_an_id_that_is_none_is_refused(env: DeadLetterEnv) -> None:
    """The sentence shows how to write one."""
    result = env.run("replay", "57", "--yes")
    assert (result.exit_code, "PARTITION:OFFSET" in result.stderr) == (2, True)


def test_an_id_that_is_not_there_is_named(env: DeadLetterEnv) -> None:
    """The others are replayed, and the exit code tells, as of those that are refused."""
    env.dead_letter()
    arguments = ["replay", "0:0", "0:9", "--yes", "--json"]
    result = CliRunner().invoke(dead_letters, arguments, obj=env.clients)
    assert isinstance(result.exception, replay_command.NotAllReplayedError)
    assert ("0:9" in str(result.exception), len(env.sent())) == (True, 1)
    assert json.loads(result.stdout)["not_found"] == ["0:9"]


def test_a_summary_shows_how_many_records_it_counts(env: DeadLetterEnv) -> None:
    """In the row, in JSON and in full."""
    counted = LetterSummary(2214, (OffsetRange(0, 0, 2214),), LastRecord(0, 2213, 1)).encode()
    headers = {"reason": b"no-token", "topic": RESULTS.encode(), "partition": b"0", "offset": b"0", "timestamp": b"1"}
    headers |= {"at": b"1", "summary": counted}
    env.broker.append(OutgoingRecord(DEAD, b"v", None, tuple((f"kallback-dead-{n}", v) for n, v in headers.items())))
    assert "1 B (2,214 records)" in env.run("list").stdout
    assert json.loads(env.run("list", "--json").stdout)["records"] == 2214
    assert "2,214: a summary" in env.run("show", "0:0").stdout


def test_topics_that_are_not_known_are_named_in_one_sentence(env: DeadLetterEnv) -> None:
    """With the options for each of the first ones: who writes dead letters chooses the topics."""
    for number in range(7):
        env.broker.create_topic(f"foreign-{number}")
        env.broker.append(OutgoingRecord(f"foreign-{number}", b"1", b"k"))
        env.dead_letter("undecodable", source=env.broker.records(f"foreign-{number}")[0])
    with pytest.raises(replay_command.NotAllReplayedError) as refused:
        env.run("replay", "--all", "--dry-run", "--unverified")
    said = str(refused.value)
    assert said.startswith("7 dead letters not replayed")
    assert said.count("not known as") == 1
    assert "foreign-4 and 2 more are not known" in said
    assert "--allow-topic foreign-0 --allow-topic foreign-1" in said


@pytest.fixture
def own_topic(env: DeadLetterEnv) -> str:
    """A topic with another name than its task type, and a dead letter of a task in it."""
    headers = TaskHeaders(TOKEN, task_id_of(b"1" * 12), Attempt(1), "shop.pack", RESULTS).encode()
    env.dead_letter("unknown-task-type", source=Record("payments", 0, 1, 0, b"k", b"{}", headers))
    return "payments"


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        (KEYS, "the token is valid, but it does not name the topic"),
        ("", "the token is not verified (KALLBACK_KEYS is not set)"),
    ],
)
def test_a_topic_with_a_name_of_its_own_is_said_to_have_one(
    env: DeadLetterEnv, own_topic: str, monkeypatch: pytest.MonkeyPatch, keys: str, said: str
) -> None:
    """Keys do not help, so they are no remedy; the replay and the dead letter name the option that helps."""
    monkeypatch.setenv("KALLBACK_KEYS", keys)
    with pytest.raises(replay_command.NotAllReplayedError) as refused:
        env.run("replay", "--all", "--yes")
    shown = (env.run("show", "0:0").stdout, json.loads(env.run("show", "0:0", "--json").stdout)["remedy"])
    for each in (str(refused.value), *shown):
        assert said in " ".join(each.split())
        assert f"{own_topic} is not named like the task type" in " ".join(each.split())
        assert f"--allow-topic {own_topic}" in " ".join(each.split())
    assert "set KALLBACK_KEYS" not in str(refused.value)


def test_what_is_refused_is_not_said_to_be_nothing(env: DeadLetterEnv, own_topic: str) -> None:
    """Standard output and the error agree."""
    result = CliRunner().invoke(dead_letters, ["replay", "--topic", own_topic, "--yes"], obj=env.clients)
    assert result.stdout == "0 of 1 dead letter can be replayed.\n"
    assert "1 dead letter not replayed" in str(result.exception)


@pytest.mark.parametrize(("keys", "said"), [(KEYS, "(in its token, which is valid here)"), ("", "not verified")])
def test_show_says_once_whether_the_task_type_is_verified(
    env: DeadLetterEnv, own_topic: str, monkeypatch: pytest.MonkeyPatch, keys: str, said: str
) -> None:
    """Its line and the remedy say the same of the token."""
    monkeypatch.setenv("KALLBACK_KEYS", keys)
    shown = " ".join(env.run("show", "0:0").stdout.split())
    assert f"type shop.pack {said}" in shown.replace("(claimed by the record, not verified)", "not verified")
    assert ("not verified" in shown, "is valid" in shown) == (not keys, bool(keys))
    assert own_topic in shown


@pytest.mark.parametrize(
    ("others", "said"),
    [
        (0, "It is past its deadline: no handler waits for it, bridges treat it as late, and workers skip it."),
        (2, "1 of them is past its deadline: no handler waits for it"),
    ],
)
def test_the_plan_says_which_results_come_too_late(
    env: DeadLetterEnv, monkeypatch: pytest.MonkeyPatch, others: int, said: str
) -> None:
    """Before they are sent: the report says that they were replayed, and only the outcome that they were late."""
    monkeypatch.setenv("KALLBACK_KEYS", KEYS)
    late = Token("shop.pack", task_id_of(b"1" * 12), Attempt(1), AWAKEABLE, deadline_ms=1_000)
    env.dead_letter(headers=completed_headers(Keyring({"k2": KEY}).sign(late, RESULTS)))
    for _ in range(others):
        env.dead_letter()
    assert said in env.run("replay", "--all", "--dry-run").stderr
    assert said in env.run("replay", "--all", "--yes").stderr
