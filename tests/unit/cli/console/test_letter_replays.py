"""What a replay from the console sends, on a broker in memory."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import replace

import pytest
from tests.unit.cli.dead_letters.environment import DEAD, TOKEN, DeadLetterEnv

from kallback.cli.console.changes import ReplayForm
from kallback.cli.console.replays import LetterReplays
from kallback.kafka import DeadLetterId, Hidden, Missing, Record, ReplayMarker, read_entry
from kallback.operations import NotAnswerableError
from kallback.protocol import completed_headers
from kallback.protocol.by_hand import Operator
from kallback.settings import Settings

ANN = Operator("ann", "the key is back")


@pytest.fixture
def env() -> DeadLetterEnv:
    """Without dead letters."""
    return DeadLetterEnv()


def replays(env: DeadLetterEnv) -> LetterReplays:
    """What replays dead letters of this broker."""
    return LetterReplays(env.clients, Settings())


def test_a_check_says_what_would_be_sent_where(env: DeadLetterEnv) -> None:
    """And sends nothing."""
    env.dead_letter()
    check = asyncio.run(replays(env).check(ReplayForm(ANN)))
    assert (check.total, env.sent()) == (1, [])
    assert check.sentences[0].startswith("1 dead letter (1 unknown-key): 1 to kallback.results would be sent.")


def test_what_is_selected_is_sent_once(env: DeadLetterEnv) -> None:
    """A second replay finds the marker of the first; with `again` it sends once more."""
    env.dead_letter("unknown-key")
    env.dead_letter("not-json")
    wanted = ReplayForm(ANN, reason="unknown-key")
    first = asyncio.run(replays(env).send(wanted))
    second = asyncio.run(replays(env).send(wanted))
    third = asyncio.run(replays(env).send(ReplayForm(ANN, reason="unknown-key", again=True)))

    assert first.sentences == ("Replayed 1 of 1 dead letter.",)
    assert second.sentences == ("Nothing to replay.", "1 dead letter already replayed.")
    assert third.sentences == ("Replayed 1 of 1 dead letter.",)
    assert [record.value for record in env.sent()] == [b'{"ok":true}'] * 2


def test_one_dead_letter_is_replayed_by_its_id(env: DeadLetterEnv) -> None:
    """The others stay."""
    for number in range(3):
        env.dead_letter(value=b"%d" % number)
    asyncio.run(replays(env).send(ReplayForm(ANN, DeadLetterId(0, 1))))
    assert [record.value for record in env.sent()] == [b"1"]


def test_a_record_that_must_not_be_sent_is_said(env: DeadLetterEnv) -> None:
    """In the sentence of the command line, which can allow it."""
    env.dead_letter(source=Record("elsewhere", 0, 1, 0, b"k", b"{}", completed_headers(TOKEN)))
    check = asyncio.run(replays(env).check(ReplayForm(ANN)))
    assert check.total == 0
    assert check.sentences[0] == "0 of 1 dead letter can be replayed."
    assert check.sentences[1].startswith("1 dead letter not replayed (for example 0:0): a header of a task is missing")


def test_a_forged_source_that_does_not_exist_keeps_no_other_from_being_sent(env: DeadLetterEnv) -> None:
    """The check says so as well, and counts it."""
    value = b"x" * 2_000_000  # a stub: no token is verified before its record is read
    env.dead_letter(source=Record("kallback.nope", 0, 1, 0, b"k", value, completed_headers(TOKEN)))
    env.dead_letter()
    check = asyncio.run(replays(env).check(ReplayForm(ANN)))
    done = asyncio.run(replays(env).send(ReplayForm(ANN)))
    for said in (check, done):
        assert (said.total, said.sentences[-1].split(";")[0]) == (1, _MISSING)
    assert (done.sentences[0], len(env.sent())) == ("Replayed 1 of 1 dead letter.", 1)


_MISSING = "1 dead letter not replayed (for example 0:0): topic kallback.nope does not exist"


def test_the_console_names_no_option_of_its_own(env: DeadLetterEnv) -> None:
    """What skips a check is an option of the command, so the command is named with it."""
    env.dead_letter(source=Record("elsewhere", 0, 1, 0, b"k", b"{}", completed_headers(TOKEN)))
    said = " ".join(asyncio.run(replays(env).check(ReplayForm(ANN))).sentences)
    assert "; kallback dead-letters replay --unverified skips this check" in said


def test_one_replay_runs_at_a_time(env: DeadLetterEnv) -> None:
    """Two would send the same dead letters: neither has the other's markers yet."""
    env.dead_letter()

    async def both() -> None:
        reached, go_on = asyncio.Event(), asyncio.Event()

        async def find_missing(_names: Iterable[str]) -> list[Missing | Hidden]:
            reached.set()
            await go_on.wait()
            return []

        both = LetterReplays(replace(env.clients, find_missing=find_missing), Settings())
        first = asyncio.create_task(both.send(ReplayForm(ANN)))
        await reached.wait()
        with pytest.raises(NotAnswerableError, match="another replay is running"):
            await both.send(ReplayForm(ANN))
        go_on.set()
        await first

    asyncio.run(both())


def test_a_replay_of_nothing_says_so(env: DeadLetterEnv) -> None:
    """Not that none of none was replayed."""
    done = asyncio.run(replays(env).send(ReplayForm(ANN, reason="late")))
    assert done.sentences == ("Nothing to replay.",)


def test_a_replay_from_a_page_is_in_the_operators_name(env: DeadLetterEnv) -> None:
    """Its marker says who and why."""
    env.dead_letter()
    asyncio.run(replays(env).send(ReplayForm(ANN)))
    marker = read_entry(env.broker.records(DEAD)[-1])
    assert isinstance(marker, ReplayMarker)
    assert marker.operator == ANN
