"""`kallback dead-letters` on a broker in memory."""

from __future__ import annotations

import asyncio
import base64
import json
import time
from collections.abc import Iterable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from kallback.cli.dead_letters import replay as replay_command
from kallback.cli.dead_letters.commands import dead_letters
from kallback.cli.dead_letters.factories import KafkaFactories
from kallback.kafka import (
    DeadLetters,
    Headers,
    MemoryBroker,
    MemoryProducer,
    MemoryReader,
    OutgoingRecord,
    Position,
    Record,
    TopicPartition,
)
from kallback.protocol import (
    Attempt,
    AwakeableId,
    ConfigurationError,
    KafkaUnavailableError,
    KallbackError,
    Keyring,
    MissingTopicError,
    Token,
    completed_headers,
    task_id_of,
)

DEAD = "kallback.dead-letters"
RESULTS = "kallback.results"
AWAKEABLE = AwakeableId("sign_1" + base64.urlsafe_b64encode(bytes(27) + b"\x11").rstrip(b"=").decode())
TOKEN = Keyring({"k2": b"2" * 32}).sign(Token("shop.pack", task_id_of(b"1" * 12), Attempt(1), AWAKEABLE), RESULTS)
HOUR = 3600


class Shop:
    """A broker with kallback's topics, and the command on it."""

    def __init__(self) -> None:
        self.broker = MemoryBroker()
        for topic in (DEAD, RESULTS):
            self.broker.create_topic(topic)
        self.clients = KafkaFactories(
            reader=lambda topic, since_ms: MemoryReader(self.broker, topic, since_ms=since_ms),
            find=self.find,
            producer=lambda: MemoryProducer(self.broker),
            check_topics=self.check,
        )

    async def find(self, position: Position) -> Record | None:
        """The record at a position."""
        place = TopicPartition(position.topic, position.partition)
        found = self.broker.read(place, position.offset, 1) if place in self.broker.partitions(position.topic) else []
        return found[0] if found else None

    async def check(self, names: Iterable[str]) -> None:
        """Whether topics exist."""
        for name in names:
            if not self.broker.partitions(name):
                raise MissingTopicError(f"topic {name!r} does not exist")

    def bury(
        self,
        reason: str = "unknown-key",
        *,
        value: bytes | None = b'{"ok":true}',
        headers: Headers | None = None,
        ago: float = 0,
        source: Record | None = None,
    ) -> None:
        """Let a record die, some seconds ago."""
        letters = DeadLetters(
            MemoryProducer(self.broker), DEAD, group="kallback-bridge", clock=lambda: time.time() - ago
        )
        own = Record(
            RESULTS, 2, 42, 1_700_000_000_000, b"k", value, completed_headers(TOKEN) if headers is None else headers
        )
        asyncio.run(letters.publish(source or own, reason, "because"))

    def run(self, *arguments: str) -> Result:
        """The command; an error of ours is raised."""
        result = CliRunner().invoke(dead_letters, list(arguments), obj=self.clients)
        if isinstance(result.exception, KallbackError):
            raise result.exception
        return result

    def rows(self, *arguments: str) -> list[str]:
        """The ids that list shows."""
        lines = self.run("list", "--json", *arguments).stdout.splitlines()
        return [json.loads(line)["id"] for line in lines]

    def sent(self) -> list[Record]:
        """What lies on the results topic."""
        return self.broker.records(RESULTS)


@pytest.fixture
def shop(monkeypatch: pytest.MonkeyPatch) -> Shop:
    """Without log set-up, which would outlive the test."""
    monkeypatch.setattr("kallback.cli.dead_letters.commands.configure_logs", lambda: None)
    monkeypatch.delenv("KALLBACK_TOPICS_PREFIX", raising=False)
    return Shop()


def test_list_shows_one_line_each(shop: Shop) -> None:
    """Id, time, reason, where from, task type, size."""
    shop.bury()
    (line,) = shop.run("list").stdout.splitlines()
    cells = line.split()
    assert (cells[0], *cells[3:]) == ("0:0", "unknown-key", f"{RESULTS}/2@42", "shop.pack", "11", "B")


def test_list_counts_what_is_there(shop: Shop) -> None:
    """Also where nothing matches: people see what they could have meant."""
    shop.bury("late")
    shop.bury("late")
    result = shop.run("list", "--reason", "unknown-key")
    assert (result.stdout, result.stderr) == ("", "0 of 2 dead letters (2 late).\n")


def test_list_of_nothing_says_so(shop: Shop) -> None:
    """An empty answer is an answer."""
    assert shop.run("list").stderr == "No dead letters.\n"


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
def test_list_filters(shop: Shop, arguments: list[str], wanted: list[str]) -> None:
    """By reason, type, topic and time; the oldest first."""
    shop.bury(ago=3 * HOUR)
    shop.bury("late", ago=1 * HOUR)
    shop.bury("not-a-task", headers=(("kallback-type", b"shop.ship"),))
    assert shop.rows(*arguments) == wanted


@pytest.mark.parametrize("text", ["yesterday", "2w", "", "25:00"])
def test_a_time_that_cannot_be_read_is_refused(shop: Shop, text: str) -> None:
    """The sentence shows how to write one."""
    result = shop.run("list", "--since", text)
    assert result.exit_code == 2
    assert "2026-01-31T12:00" in result.stderr


def test_a_hostile_record_cannot_drive_the_terminal(shop: Shop) -> None:
    """Escape sequences are shown, not obeyed."""
    shop.bury("\x1b[2J", value=b"\x1b]0;owned\x07", headers=(("\x1b[31m", b"\x1b[0m"), ("kallback-type", b"\x1b[1m")))
    assert "\x1b" not in shop.run("list").stdout + shop.run("list").stderr + shop.run("show", "0:0").stdout


def test_no_token_is_shown_whole(shop: Shop) -> None:
    """Neither the tag nor the awakeable id: not from headers, not from a value, not in JSON."""
    body = json.dumps({"kallback": {"version": 1, "token": TOKEN}, "awakeable": AWAKEABLE, "list": [TOKEN, TOKEN]})
    shop.bury(value=body.encode(), headers=(("kafka_correlationId", TOKEN.encode()), ("x", b"a " + TOKEN.encode())))
    shop.bury(TOKEN)
    output = shop.run("show", "0:0").stdout + shop.run("list").stdout + shop.run("list", "--json").stdout
    assert TOKEN.rpartition(":")[2] not in output
    assert AWAKEABLE not in output
    assert "kb1:k2:shop.pack" in output


def test_show_tells_what_to_do(shop: Shop) -> None:
    """The reason, its meaning and the remedy; headers and value readable."""
    shop.bury()
    text = shop.run("show", "0:0").stdout
    for part in ("unknown-key", "because", "kallback dead-letters replay --reason", '{"ok":true}', "completed"):
        assert part in " ".join(text.split())


def test_show_writes_the_value_as_it_is(shop: Shop, tmp_path: Path) -> None:
    """Byte for byte, whatever it is."""
    shop.bury(value=b"\xff\x00")
    shop.run("show", "0:0", "--raw-value", str(tmp_path / "value"))
    assert (tmp_path / "value").read_bytes() == b"\xff\x00"


def test_show_of_nothing_says_so(shop: Shop) -> None:
    """Perhaps its retention is over."""
    with pytest.raises(KallbackError, match="there is no dead letter 0:7"):
        shop.run("show", "0:7")


def test_show_of_a_record_of_another_kind_says_so(shop: Shop) -> None:
    """Anybody may write to a topic."""
    shop.broker.append(OutgoingRecord(DEAD, b"hello"))
    with pytest.raises(KallbackError, match="kallback did not write"):
        shop.run("show", "0:0")


def test_replay_sends_byte_for_byte(shop: Shop) -> None:
    """Key, value and headers, to where it came from."""
    shop.bury()
    assert shop.run("replay", "0:0", "--yes").stdout == "Replayed 1 of 1 dead letter.\n"
    (record,) = shop.sent()
    assert (record.key, record.value, record.headers) == (b"k", b'{"ok":true}', completed_headers(TOKEN))


def test_replay_goes_on_where_it_stopped(shop: Shop) -> None:
    """What was replayed is neither listed nor sent again."""
    for _ in range(3):
        shop.bury()
    shop.run("replay", "--reason", "unknown-key", "--limit", "1", "--yes")
    assert shop.rows() == ["0:1", "0:2"]
    assert shop.run("replay", "--reason", "unknown-key", "--yes").stdout == "Replayed 2 of 2 dead letters.\n"
    assert shop.run("replay", "--all", "--yes").stdout == "Nothing to replay.\n"
    assert (len(shop.sent()), shop.rows("--replayed")) == (3, ["0:0", "0:1", "0:2"])


def test_replay_again_sends_again(shop: Shop) -> None:
    """On demand only."""
    shop.bury()
    shop.run("replay", "0:0", "--yes")
    shop.run("replay", "0:0", "--yes", "--again")
    assert len(shop.sent()) == 2


def test_a_dry_run_sends_nothing(shop: Shop) -> None:
    """It shows what would be sent, and where to."""
    shop.bury()
    result = shop.run("replay", "--all", "--dry-run")
    assert (shop.sent(), result.stdout.split()[0]) == ([], "0:0")
    assert f"1 to {RESULTS} would be sent" in result.stderr


def test_nothing_is_replayed_by_accident(shop: Shop) -> None:
    """Without a filter it wants --all; where nobody can be asked it wants --yes."""
    shop.bury()
    with pytest.raises(ConfigurationError, match="no dead letters selected"):
        shop.run("replay", "--yes")
    with pytest.raises(ConfigurationError, match="rerun with --yes"):
        shop.run("replay", "--all")
    assert shop.sent() == []


@pytest.mark.parametrize(("answer", "count"), [("y\n", 1), ("n\n", 0), ("\n", 0)])
def test_on_a_terminal_it_asks(shop: Shop, monkeypatch: pytest.MonkeyPatch, answer: str, count: int) -> None:
    """And takes only yes for a yes."""

    class Terminal:
        """A standard input that somebody sits at."""

        stdin = type("Stdin", (), {"isatty": staticmethod(lambda: True)})
        stdout = stderr = type("Out", (), {"isatty": staticmethod(lambda: False)})

    shop.bury()
    monkeypatch.setattr(replay_command, "sys", Terminal)
    CliRunner().invoke(dead_letters, ["replay", "--all"], obj=shop.clients, input=answer)
    assert len(shop.sent()) == count


def test_a_missing_topic_stops_before_anything_is_sent(shop: Shop) -> None:
    """The letters stay as they are."""
    shop.bury()
    with pytest.raises(MissingTopicError, match="nowhere"):
        shop.run("replay", "--all", "--to", "nowhere", "--yes")
    assert shop.rows() == ["0:0"]


def test_an_interrupted_replay_says_how_to_go_on(shop: Shop) -> None:
    """What was sent is told and noted; the error is told too."""
    for _ in range(2):
        shop.bury()
    shop.clients = KafkaFactories(shop.clients.reader, shop.clients.find, lambda: FailsOnce(shop.broker), shop.check)
    result = CliRunner().invoke(dead_letters, ["replay", "--all", "--yes"], obj=shop.clients)
    assert isinstance(result.exception, KafkaUnavailableError)
    assert "Replayed 1 of 2 dead letters.\n" in result.stdout
    assert "Run the same command again to continue with the rest" in result.stderr
    assert len(shop.rows()) == 1


class FailsOnce(MemoryProducer):
    """Its first record does not get through."""

    failed = False

    async def send(self, record: OutgoingRecord) -> Position:
        """Fail, then work."""
        if not self.failed:
            self.failed = True
            raise KafkaUnavailableError("away")
        return await super().send(record)


def test_a_stub_whose_record_is_gone_is_told(shop: Shop) -> None:
    """It cannot be replayed, and the sentence says why."""
    shop.bury("not-json", value=b"x" * 2_000_000)
    assert "cannot be replayed" in shop.run("show", "0:0").stdout
    with pytest.raises(KallbackError, match=r"1 \(for example 0:0\): .* is gone"):
        shop.run("replay", "--all", "--yes")


def test_a_stub_is_replayed_from_its_source(shop: Shop) -> None:
    """As long as the record lies there."""
    shop.broker.create_topic("big", largest=5_000_000)
    shop.broker.append(OutgoingRecord("big", b"x" * 2_000_000, b"k"))
    shop.bury("not-json", source=shop.broker.records("big")[0])
    shop.run("replay", "--all", "--yes")
    assert [len(record.value or b"") for record in shop.broker.records("big")] == [2_000_000, 2_000_000]


@pytest.mark.parametrize("text", ["fast", "0/s", "-1", "5/h"])
def test_a_rate_that_cannot_be_read_is_refused(shop: Shop, text: str) -> None:
    """The sentence shows how to write one."""
    result = shop.run("replay", "--all", "--rate", text)
    assert (result.exit_code, "50/s or 30/m" in result.stderr) == (2, True)


def test_an_id_that_is_none_is_refused(shop: Shop) -> None:
    """The sentence shows how to write one."""
    result = shop.run("replay", "57", "--yes")
    assert (result.exit_code, "PARTITION:OFFSET" in result.stderr) == (2, True)


def test_an_id_that_is_not_there_is_named(shop: Shop) -> None:
    """The others are replayed."""
    shop.bury()
    result = shop.run("replay", "0:0", "0:9", "--yes")
    assert ("0:9" in result.stderr, len(shop.sent())) == (True, 1)
