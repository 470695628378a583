"""What a replay from the console sends, on a broker in memory."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from tests.unit.cli.dead_letters.environment import DEAD, TOKEN, DeadLetterEnv

from kallback.cli.console.changes import ReplayForm, ReplayOrder
from kallback.cli.console.replays import LetterReplays, ReplayDone
from kallback.kafka import DeadLetterId, MemoryProducer, OutgoingRecord, Position, Record, ReplayMarker, read_entry
from kallback.operations import NotAnswerableError
from kallback.protocol import KafkaUnavailableError, completed_headers
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


def send(env: DeadLetterEnv, form: ReplayForm) -> ReplayDone:
    """Check a replay, and send what was checked."""
    own = replays(env)

    async def both() -> ReplayDone:
        return await own.send(ReplayOrder((await own.check(form)).name, ANN))

    return asyncio.run(both())


def test_a_check_says_what_would_be_sent_where(env: DeadLetterEnv) -> None:
    """And sends nothing."""
    env.dead_letter()
    check = asyncio.run(replays(env).check(ReplayForm()))
    assert (check.total, env.sent()) == (1, [])
    assert check.sentences[0].startswith("1 dead letter (1 unknown-key): 1 to kallback.results would be sent.")


def test_what_is_selected_is_sent_once(env: DeadLetterEnv) -> None:
    """A second replay finds the marker of the first; with `again` it sends once more."""
    env.dead_letter("unknown-key")
    env.dead_letter("not-json")
    wanted = ReplayForm(reason="unknown-key")
    first, second = send(env, wanted), send(env, wanted)
    third = send(env, ReplayForm(reason="unknown-key", again=True))

    assert first.sentences == ("Replayed 1 of 1 dead letter.",)
    assert second.sentences == (
        "Replayed 0 of 0 dead letters.",
        "Nothing to replay.",
        "1 dead letter already replayed.",
    )
    assert third.sentences == ("Replayed 1 of 1 dead letter.",)
    assert [record.value for record in env.sent()] == [b'{"ok":true}'] * 2


def test_what_is_dead_lettered_after_the_check_is_not_sent(env: DeadLetterEnv) -> None:
    """The operator confirmed the list of the check."""
    env.dead_letter(value=b"1")
    own = replays(env)
    check = asyncio.run(own.check(ReplayForm()))
    env.dead_letter(value=b"2")
    done = asyncio.run(own.send(ReplayOrder(check.name, ANN)))

    assert done.sentences == ("Replayed 1 of 1 dead letter.",)
    assert [record.value for record in env.sent()] == [b"1"]


def test_what_was_checked_is_sent_once(env: DeadLetterEnv) -> None:
    """Also where those that were replayed are wanted, too, whose markers keep nothing back."""
    env.dead_letter()
    own = replays(env)
    order = ReplayOrder(asyncio.run(own.check(ReplayForm(again=True))).name, ANN)
    asyncio.run(own.send(order))
    with pytest.raises(NotAnswerableError, match="this was sent before"):
        asyncio.run(own.send(order))
    assert own.checked(order.plan) is None
    assert len(env.sent()) == 1


@pytest.mark.parametrize("again", [False, True])
def test_what_another_replay_has_sent_since_the_check_is_left_out(env: DeadLetterEnv, *, again: bool) -> None:
    """It would be sent twice: the check did not know that replay."""
    for number in range(2):
        env.dead_letter(value=b"%d" % number)
    if again:
        send(env, ReplayForm())
    before = len(env.sent())
    own = replays(env)
    check = asyncio.run(own.check(ReplayForm(again=again)))
    send(env, ReplayForm(DeadLetterId(0, 1), again=again))
    done = asyncio.run(own.send(ReplayOrder(check.name, ANN)))

    assert done.sentences == (
        "Replayed 1 of 2 dead letters.",
        "1 dead letter not sent here: another replay sent it.",
    )
    assert [record.value for record in env.sent()[before:]] == [b"1", b"0"]


def test_a_replay_that_fails_says_what_it_sent(env: DeadLetterEnv) -> None:
    """The answer has the error as well; the list is used nevertheless, and a new check finds the rest."""
    env.dead_letter()
    own = LetterReplays(replace(env.clients, producer=lambda: Away(env.broker)), Settings())
    check = asyncio.run(own.check(ReplayForm()))
    done = asyncio.run(own.send(ReplayOrder(check.name, ANN)))

    assert done.error == "no broker answers for kallback.results"
    assert done.sentences == (
        "Replayed 0 of 1 dead letter.",
        "Check the replay again to continue with the rest.",
    )
    assert own.checked(check.name) is None


class Away(MemoryProducer):
    """No broker answers."""

    async def send(self, record: OutgoingRecord) -> Position:
        """Fail."""
        raise KafkaUnavailableError(f"no broker answers for {record.topic}")


def test_one_dead_letter_is_replayed_by_its_id(env: DeadLetterEnv) -> None:
    """The others stay."""
    for number in range(3):
        env.dead_letter(value=b"%d" % number)
    send(env, ReplayForm(DeadLetterId(0, 1)))
    assert [record.value for record in env.sent()] == [b"1"]


def test_a_record_that_must_not_be_sent_is_said(env: DeadLetterEnv) -> None:
    """In the sentence of the command line, which can allow it."""
    env.dead_letter(source=Record("elsewhere", 0, 1, 0, b"k", b"{}", completed_headers(TOKEN)))
    check = asyncio.run(replays(env).check(ReplayForm()))
    assert check.total == 0
    assert check.sentences[0] == "0 of 1 dead letter can be replayed."
    assert check.sentences[1].startswith("1 dead letter not replayed (for example 0:0): a header of a task is missing")


def test_a_forged_source_that_does_not_exist_keeps_no_other_from_being_sent(env: DeadLetterEnv) -> None:
    """The check says so as well, and counts it."""
    value = b"x" * 2_000_000  # a stub: no token is verified before its record is read
    env.dead_letter(source=Record("kallback.nope", 0, 1, 0, b"k", value, completed_headers(TOKEN)))
    env.dead_letter()
    check, done = asyncio.run(replays(env).check(ReplayForm())), send(env, ReplayForm())
    for said in (check.sentences, done.sentences):
        assert said[-1].split(";")[0] == _MISSING
    assert check.total == 1
    assert (done.sentences[0], len(env.sent())) == ("Replayed 1 of 1 dead letter.", 1)


_MISSING = "1 dead letter not replayed (for example 0:0): topic kallback.nope does not exist"


def test_the_console_names_no_option_of_its_own(env: DeadLetterEnv) -> None:
    """What skips a check is an option of the command, so the command is named with it."""
    env.dead_letter(source=Record("elsewhere", 0, 1, 0, b"k", b"{}", completed_headers(TOKEN)))
    said = " ".join(asyncio.run(replays(env).check(ReplayForm())).sentences)
    assert "; kallback dead-letters replay --unverified skips this check" in said


def test_one_replay_runs_at_a_time(env: DeadLetterEnv) -> None:
    """Two would send the same dead letters: neither has the other's markers yet."""
    env.dead_letter()

    async def both() -> list[str]:
        reached, go_on = asyncio.Event(), asyncio.Event()

        class Slow(MemoryProducer):
            async def send(self, record: OutgoingRecord) -> Position:
                reached.set()
                await go_on.wait()
                return await super().send(record)

        own = LetterReplays(replace(env.clients, producer=lambda: Slow(env.broker)), Settings())
        orders = [ReplayOrder((await own.check(ReplayForm())).name, ANN) for _ in range(2)]
        first = asyncio.create_task(own.send(orders[0]))
        await reached.wait()
        said = list[str]()
        for order in orders:
            with pytest.raises(NotAnswerableError) as refused:
                await own.send(order)
            said.append(str(refused.value))
        go_on.set()
        await first
        return said

    assert asyncio.run(both()) == [
        "this is being sent: wait until it has ended, and reload this page",
        "another replay is running: wait until it has ended, and send again",
    ]


def test_a_replay_of_nothing_says_so(env: DeadLetterEnv) -> None:
    """Not that none of none was replayed."""
    check = asyncio.run(replays(env).check(ReplayForm(reason="late")))
    assert (check.sentences, check.total) == (("Nothing to replay.",), 0)


def test_a_replay_from_a_page_is_in_the_operators_name(env: DeadLetterEnv) -> None:
    """Its marker says who and why."""
    env.dead_letter()
    send(env, ReplayForm())
    marker = read_entry(env.broker.records(DEAD)[-1])
    assert isinstance(marker, ReplayMarker)
    assert marker.operator == ANN
