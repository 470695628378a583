"""Dead letters whose topic does not exist, as a forger writes them, and what a replay sends and says."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner
from tests.unit.cli.dead_letters.environment import TOKEN, DeadLetterEnv

from kallback.cli.dead_letters.commands import dead_letters
from kallback.cli.dead_letters.replay import NotAllReplayedError
from kallback.kafka import Record
from kallback.protocol import KallbackError


@pytest.fixture
def env(monkeypatch: pytest.MonkeyPatch) -> DeadLetterEnv:
    """Without log set-up, which would outlive the test."""
    monkeypatch.setattr("kallback.cli.dead_letters.commands.configure_logs", lambda: None)
    monkeypatch.delenv("KALLBACK_TOPICS_PREFIX", raising=False)
    return DeadLetterEnv()


def forged_letter(env: DeadLetterEnv, topic: str, value: bytes = b"{}") -> None:
    """A dead letter whose source has our prefix."""
    env.dead_letter(source=Record(topic, 0, 1, 1, b"k", value, (("kallback-token", TOKEN.encode()),)))


def test_a_forged_dead_letter_of_a_missing_topic_keeps_no_other_from_being_sent(env: DeadLetterEnv) -> None:
    """Anyone who may write to the topic of dead letters can name a topic with our prefix that does not exist."""
    forged_letter(env, "kallback.nope")
    env.dead_letter()
    with pytest.raises(
        KallbackError, match=r"1 dead letter not replayed \(for example 0:0\): topic kallback\.nope does"
    ):
        env.run("replay", "--all", "--yes", "--unverified")
    assert (len(env.sent()), env.broker.partitions("kallback.nope")) == (1, [])


def test_missing_topics_are_asked_for_at_once(env: DeadLetterEnv) -> None:
    """However many a forger names: one question for each name is load on brokers, and the sentence has a bound."""
    for number in range(20):
        forged_letter(env, f"kallback.nope-{number:02}")
    env.dead_letter()
    with pytest.raises(KallbackError) as refused:
        env.run("replay", "--all", "--yes", "--unverified")
    assert (len(env.questions), len(env.questions[0]), len(env.sent())) == (1, 20, 1)
    assert str(refused.value).startswith("20 dead letters not replayed (for example 0:0): topics kallback.nope-00, ")
    assert "and 15 more do not exist" in str(refused.value)


def test_more_names_than_are_counted_keep_no_other_from_being_sent(env: DeadLetterEnv) -> None:
    """Causes are counted up to a bound, which a forger fills: what goes to a topic that exists is sent all the same."""
    for number in range(1_050):
        forged_letter(env, f"kallback.nope-{number}")
    env.dead_letter()
    with pytest.raises(KallbackError, match=r"50 dead letters not replayed .*too many different"):
        env.run("replay", "--all", "--yes", "--unverified")
    assert len(env.sent()) == 1


def test_a_stub_of_a_missing_topic_is_not_looked_up(env: DeadLetterEnv) -> None:
    """Also with --to: its record would be read from a topic that a forger names."""
    env.broker.create_topic("elsewhere")
    forged_letter(env, "kallback.nope", value=b"x" * 2_000_000)
    with pytest.raises(KallbackError, match=r"topic kallback\.nope does not exist"):
        env.run("replay", "--all", "--yes", "--unverified", "--to", "elsewhere")
    assert env.questions == [{"kallback.nope"}]


def test_a_topic_that_is_hidden_is_not_said_to_be_missing(env: DeadLetterEnv) -> None:
    """The remedy is a permission; the others are sent."""
    env.hidden.add("kallback.secret")
    forged_letter(env, "kallback.secret")
    env.dead_letter()
    with pytest.raises(KallbackError, match=r"this user may not look at kallback\.secret \(DESCRIBE\)"):
        env.run("replay", "--all", "--yes", "--unverified")
    assert len(env.sent()) == 1


def test_a_dry_run_says_which_topics_are_missing(env: DeadLetterEnv) -> None:
    """They are not among those that would be sent."""
    forged_letter(env, "kallback.nope")
    env.dead_letter()
    result = CliRunner().invoke(dead_letters, ["replay", "--all", "--dry-run", "--unverified"], obj=env.clients)
    assert isinstance(result.exception, NotAllReplayedError)
    assert "kallback.nope does not exist" in str(result.exception)
    assert "1 dead letter (1 unknown-key): 1 to kallback.results would be sent" in result.stderr


@pytest.mark.parametrize(("option", "sent"), [("--dry-run", 0), ("--yes", 1)])
def test_a_replay_says_as_json_what_was_sent_and_what_not(env: DeadLetterEnv, option: str, sent: int) -> None:
    """One object, with the causes and an example of each."""
    forged_letter(env, "kallback.nope")
    env.dead_letter()
    arguments = ["replay", "--all", "--json", "--unverified", option]
    result = CliRunner().invoke(dead_letters, arguments, obj=env.clients)
    said = json.loads(result.stdout)
    assert (said["dry_run"], said["chosen"], said["sent"]) == (option == "--dry-run", 1, sent)
    [left] = said["not_sent"]
    assert (left["count"], left["example"]) == (1, "0:0")
    assert left["cause"].startswith("topic kallback.nope does not exist")


def test_a_replay_of_nothing_is_json_too(env: DeadLetterEnv) -> None:
    """The sentence for people is on standard error."""
    result = env.run("replay", "--all", "--yes", "--json")
    assert (json.loads(result.stdout)["chosen"], result.stderr) == (0, "Nothing to replay.\n")


def test_a_replay_that_fails_partly_names_also_what_was_refused(env: DeadLetterEnv) -> None:
    """A stub whose record is gone, and a forged source."""
    env.dead_letter("not-json", value=b"x" * 2_000_000)
    forged_letter(env, "kallback.nope")
    with pytest.raises(KallbackError, match=r"is gone \(retention\).*kallback\.nope does not exist"):
        env.run("replay", "--all", "--yes", "--unverified")
