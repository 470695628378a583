"""What a replay may send: everything in a dead letter is hostile."""

from __future__ import annotations

import base64
from dataclasses import replace

import msgspec
import pytest

from kallback.kafka import DeadLetter, DeadLetterId, Position
from kallback.operations.replay_checks import (
    GRACE_MS,
    MaySend,
    MustNotSend,
    NeedsTopic,
    ReplayRules,
    TopicDoubt,
    check_letter,
    signed_type,
)
from kallback.protocol import (
    Attempt,
    AwakeableId,
    Cancel,
    CancelReason,
    Keyring,
    TaskHeaders,
    Token,
    completed_headers,
    task_id_of,
)
from kallback.settings import Topics

TOPICS = Topics()
KEYRING = Keyring({"k2": b"0123456789abcdef0123456789ABCDEF"})
OTHER = Keyring({"k2": b"another key, another installation"})
AWAKEABLE = AwakeableId("sign_1" + base64.urlsafe_b64encode(bytes(27) + b"\x11").rstrip(b"=").decode())
TOKEN = Token("shop.pack", task_id_of(b"1" * 12), Attempt(1), AWAKEABLE)
SIGNED = KEYRING.sign(TOKEN, TOPICS.results)
TASK = TaskHeaders(SIGNED, TOKEN.task_id, Attempt(1), "shop.pack", TOPICS.results, progress_to=TOPICS.progress)
RULES = ReplayRules(topics=TOPICS, audience=TOPICS.results)
WITH_KEYS = replace(RULES, keyring=KEYRING)
NOW_MS = 1_800_000_000_000
RESULT = DeadLetter(
    DeadLetterId(0, 1), "late", "", 1, 2, Position(TOPICS.results, 0, 7), 3, "g", None, b"1", completed_headers(SIGNED)
)


def task(topic: str = "shop.pack", headers: TaskHeaders = TASK) -> DeadLetter:
    """A dead letter that comes from a task topic."""
    return replace(RESULT, source=Position(topic, 0, 7), headers=headers.encode(), value=b"{}")


def refused(letter: DeadLetter, rules: ReplayRules) -> str:
    """Why it is not sent."""
    verdict = check_letter(letter, rules)
    assert isinstance(verdict, MustNotSend), verdict
    return verdict.cause


def test_a_result_goes_to_the_results_topic() -> None:
    """Verified where there is a key, and said where there is none."""
    assert check_letter(RESULT, WITH_KEYS) == MaySend(TOPICS.results, is_verified=True)
    assert check_letter(RESULT, RULES) == MaySend(TOPICS.results, is_verified=False)


def test_a_result_with_a_wrong_token_is_sent_on_demand_only() -> None:
    """The bridge would dead-letter it again."""
    letter = replace(RESULT, headers=completed_headers(OTHER.sign(TOKEN, TOPICS.results)))
    assert "wrong-tag" in refused(letter, WITH_KEYS)
    assert isinstance(check_letter(letter, replace(WITH_KEYS, send_unverified=True)), MaySend)


def test_a_result_for_another_results_topic_is_verified_for_that_one() -> None:
    """A token is valid on one results topic."""
    letter = replace(RESULT, headers=completed_headers(KEYRING.sign(TOKEN, "other.results")))
    assert check_letter(letter, replace(WITH_KEYS, to="other.results")) == MaySend("other.results", is_verified=True)


@pytest.mark.parametrize("topic", [TOPICS.control, TOPICS.progress, TOPICS.outcomes, TOPICS.dead_letters])
@pytest.mark.parametrize("rules", [RULES, replace(WITH_KEYS, send_unverified=True)])
def test_nothing_goes_to_topics_that_only_kallback_writes_to(topic: str, rules: ReplayRules) -> None:
    """Not as the source of a dead letter, not as the place of a task's answers, and no option changes that."""
    everything = replace(rules, named=frozenset({topic, "shop.pack"}))
    assert "forged" in refused(replace(RESULT, source=Position(topic, 0, 7)), everything)
    assert "forged" in refused(task(headers=replace(TASK, reply_to=topic)), everything)


def test_a_cancel_is_not_sent_to_any_topic() -> None:
    """Also not to a topic that the operator names: it may be the control topic of another installation."""
    cancel = Cancel(TOKEN.task_id, CancelReason.CANCELLED, 1).encode()
    rules = replace(RULES, named=frozenset({"other.control"}), send_unverified=True)
    letter = replace(RESULT, source=Position("other.control", 0, 7), value=cancel, headers=())
    assert "cancel" in refused(letter, rules)


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "a" * 250, "a b", "a\n"])
def test_a_source_that_is_no_topic_name_is_forged(name: str) -> None:
    """No client could have read a record there."""
    assert "not the name of a topic" in refused(replace(RESULT, source=Position(name, 0, 7)), RULES)


def test_a_task_with_a_valid_token_goes_to_the_topic_of_its_type() -> None:
    """The token names the type, and only this installation can sign it."""
    assert check_letter(task(), WITH_KEYS) == MaySend("shop.pack", is_verified=True)
    assert check_letter(task("payments"), WITH_KEYS) == NeedsTopic("payments", TopicDoubt.OTHER_NAME)


def test_without_a_key_a_task_topic_has_to_be_named() -> None:
    """Everything in the record could be invented."""
    assert check_letter(task(), RULES) == NeedsTopic("shop.pack", TopicDoubt.NO_KEYS)
    assert check_letter(task("payments"), RULES) == NeedsTopic("payments", TopicDoubt.OTHER_NAME_NO_KEYS)
    assert check_letter(task(), replace(RULES, named=frozenset({"shop.pack"}))) == MaySend(
        "shop.pack", is_verified=False
    )
    assert isinstance(check_letter(task(), replace(RULES, to="shop.pack")), MaySend)


def test_topics_with_the_prefix_are_known() -> None:
    """An installation that gives its task topics the prefix names nothing."""
    assert isinstance(check_letter(task("kallback.pack"), RULES), MaySend)


@pytest.mark.parametrize("headers", [replace(TASK, reply_to="payments"), replace(TASK, progress_to="payments")])
def test_a_task_that_answers_elsewhere_needs_that_topic_too(headers: TaskHeaders) -> None:
    """A worker would write there; the token covers the task and not its reply topic."""
    assert check_letter(task(headers=headers), WITH_KEYS) == NeedsTopic("payments")


@pytest.mark.parametrize(
    "headers",
    [
        replace(TASK, token=OTHER.sign(TOKEN, TOPICS.results)),
        replace(TASK, task_type="shop.ship"),
        replace(TASK, attempt=Attempt(2)),
    ],
)
def test_a_task_whose_headers_fail_the_check_is_sent_on_demand_only(headers: TaskHeaders) -> None:
    """A wrong signature, or headers that contradict the token; even then not to an unknown topic."""
    assert "--unverified" in refused(task(headers=headers), WITH_KEYS)
    on_demand = replace(WITH_KEYS, send_unverified=True)
    assert check_letter(task(headers=headers), on_demand) == NeedsTopic("shop.pack")
    assert isinstance(check_letter(task(headers=headers), replace(on_demand, to="shop.pack")), MaySend)


def test_a_record_that_is_no_task_is_sent_on_demand_only() -> None:
    """A worker would dead-letter it again."""
    letter = replace(task(), headers=())
    assert "header of a task" in refused(letter, replace(RULES, to="shop.pack"))


def test_a_stub_is_not_read_from_an_unknown_topic() -> None:
    """Its content would be copied with the operator's permissions."""
    stub = replace(RESULT, source=Position("payroll", 0, 7), value=None, headers=(), stub_bytes=9)
    assert check_letter(stub, replace(RULES, to=TOPICS.results)) == NeedsTopic("payroll")
    assert "forged" in refused(replace(stub, source=Position(TOPICS.control, 0, 7)), replace(RULES, to=TOPICS.results))
    known = replace(stub, source=RESULT.source)
    assert check_letter(known, WITH_KEYS) == MaySend(TOPICS.results, is_verified=False, read_from=TOPICS.results)


def with_deadline(deadline_ms: int) -> tuple[DeadLetter, DeadLetter]:
    """A result and a task whose token has this deadline."""
    text = KEYRING.sign(msgspec.structs.replace(TOKEN, deadline_ms=deadline_ms), TOPICS.results)
    result = replace(RESULT, headers=completed_headers(text))
    return result, task(headers=replace(TASK, token=text, deadline_ms=deadline_ms or None))


@pytest.mark.parametrize(("ago_ms", "late"), [(0, False), (GRACE_MS, False), (GRACE_MS + 1, True), (NOW_MS, False)])
def test_a_verified_token_says_whether_a_replay_comes_too_late(ago_ms: int, *, late: bool) -> None:
    """It is allowed all the same: a bridge may have a handler for late results. No deadline is never late."""
    for letter in with_deadline(NOW_MS - ago_ms):
        verdict = check_letter(letter, replace(WITH_KEYS, now_ms=NOW_MS))
        assert isinstance(verdict, MaySend)
        assert verdict.is_late is late


def test_a_token_that_is_not_verified_says_nothing_of_its_deadline() -> None:
    """Who writes dead letters chooses it."""
    for letter in with_deadline(1):
        verdict = check_letter(letter, replace(RULES, now_ms=NOW_MS, named=frozenset({"shop.pack"})))
        assert verdict == MaySend(letter.source.topic, is_verified=False)


def test_the_task_type_is_known_from_a_valid_token_alone() -> None:
    """Of a result and of a task; the headers of a record can claim any."""
    claimed = task(headers=replace(TASK, task_type="shop.steal"))
    assert [signed_type(each, WITH_KEYS) for each in (RESULT, task(), claimed)] == ["shop.pack"] * 3
    assert [signed_type(each, RULES) for each in (RESULT, task())] == [None, None]
    assert [signed_type(each, replace(RULES, keyring=OTHER)) for each in (RESULT, task())] == [None, None]
    assert signed_type(replace(RESULT, headers=(), value=None), WITH_KEYS) is None
