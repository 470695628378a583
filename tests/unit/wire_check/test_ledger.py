"""Tasks that are made, and answers that are assigned to them."""

from __future__ import annotations

from kallback.kafka import OutgoingRecord, Record
from kallback.protocol import Cancel, CancelProof, TaskHeaders, completed_headers, task_id_of
from kallback.wire_check import CheckedTopics, CheckRequests, WireCheckOptions
from kallback.wire_check.ledger import CheckLedger
from kallback.wire_check.observed import Observed, UnusableAnswer
from kallback.wire_check.steps import SendTask

TOPICS = CheckedTopics(tasks="t", results="r", progress="p", control="c")
OPTIONS = WireCheckOptions(requests=CheckRequests(good=(b"{}",)), topics=TOPICS, task_type="prepare")
TASK_ID = task_id_of(b"1" * 12)


def made(step: SendTask, observed: Observed, ledger: CheckLedger | None = None) -> TaskHeaders:
    """The headers of a task, as a worker reads them."""
    ledger = ledger or CheckLedger(OPTIONS, b"k" * 32)
    record = ledger.make_task(step, TASK_ID, observed, now_ms=1_000_000, key=b"k")
    return TaskHeaders.decode(record.headers)


def answer(token: str, value: bytes = b"12") -> Record:
    """A result record."""
    return Record("r", 0, 0, 0, None, value, completed_headers(token))


def test_a_task_has_the_headers_of_the_wire() -> None:
    """Those that a long task has are there if they are asked for, and only then."""
    plain = made(SendTask(name="task", value=b"{}", deadline_s=2), Observed())
    long = made(SendTask(name="task", value=b"{}", monitored=True, hand_back=True, start_by_s=-1), Observed())
    assert (plain.reply_to, plain.task_type, plain.deadline_ms, plain.progress_to) == ("r", "prepare", 1_002_000, None)
    assert (long.progress_to, long.heartbeat_every_ms, long.hand_back, long.start_by_ms) == ("p", 1000, True, 999_000)


def test_a_header_is_replaced_or_added() -> None:
    """A changed one is there once."""
    step = SendTask(name="task", value=b"{}", changed=(("kallback-version", b"2"), ("x", None)))
    record = CheckLedger(OPTIONS, b"k" * 32).make_task(step, TASK_ID, Observed(), now_ms=0, key=b"k")
    assert [value for name, value in record.headers if name == "kallback-version"] == [b"2"]
    assert ("x", None) in record.headers


def test_an_answer_belongs_to_the_check_that_sent_the_task() -> None:
    """Also if another check runs when it comes."""
    ledger, first, second = CheckLedger(OPTIONS, b"k" * 32), Observed(), Observed()
    token = made(SendTask(name="task", value=b"{}"), first, ledger).token
    ledger.take_result(answer(token), second, 1.0)
    ledger.take_result(answer(token, b"no JSON"), second, 2.0)
    assert [type(each.content) for each in first.seen()][1] is UnusableAnswer
    assert (len(first.seen()), second.seen(), second.strays) == (2, [], [])


def test_answers_of_another_run_are_ignored() -> None:
    """Two people may check at the same time."""
    ledger, observed = CheckLedger(OPTIONS, b"k" * 32), Observed()
    token = made(
        SendTask(name="task", value=b"{}"), Observed(), CheckLedger(OPTIONS, b"another run's key of 32 bytes...")
    )
    ledger.take_result(answer(token.token), observed, 1.0)
    ledger.take_progress(answer(token.token), observed, 1.0)
    assert (observed.strays, observed.seen()) == ([], [])


def test_an_altered_token_is_a_stray() -> None:
    """Its answer belongs to no task, and the report says so."""
    ledger, observed = CheckLedger(OPTIONS, b"k" * 32), Observed()
    token = made(SendTask(name="task", value=b"{}"), observed, ledger).token
    ledger.take_result(answer(token[:-1] + ("A" if token[-1] != "A" else "B")), observed, 1.0)
    assert (len(observed.strays), observed.seen()) == (1, [])
    assert token not in observed.strays[0]


def test_cancels_are_authentic_unless_they_are_forged() -> None:
    """By the hash in the task's header."""
    ledger = CheckLedger(OPTIONS, b"k" * 32)
    headers = made(SendTask(name="task", value=b"{}"), Observed(), ledger)

    def proof(record: OutgoingRecord) -> CancelProof:
        return Cancel.decode(record.value).proof(headers.cancel_hash)

    assert proof(ledger.cancel_of(TASK_ID, 1, forged=False)) is CancelProof.AUTHENTIC
    assert proof(ledger.cancel_of(TASK_ID, 1, forged=True)) is CancelProof.WRONG_SECRET
