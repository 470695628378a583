"""The verdicts of `kallback wire check`: from what was seen, without a server."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from kallback.protocol import Completed, Failed, Problem, Report, Signal
from kallback.protocol.problems import HANDED_BACK
from kallback.wire_check import CheckedTopics, CheckRequests, CheckVerdict, WireCheckOptions
from kallback.wire_check.observed import ALIVE, Observed, SeenAnswer, SeenProgress, UnusableAnswer
from kallback.wire_check.protocol_check import Decide
from kallback.wire_check.verdicts import decide as decisions
from kallback.wire_check.verdicts import decide_cancels as cancels
from kallback.wire_check.verdicts.decide_progress import decide_long_task

PASS, FAIL, NOT_COVERED = CheckVerdict.PASS, CheckVerdict.FAIL, CheckVerdict.NOT_COVERED
TOPICS = CheckedTopics(tasks="t", results="r", progress="p", control="c")
OPTIONS = WireCheckOptions(requests=CheckRequests(good=(b"{}",)), topics=TOPICS, task_type="t")

DONE = Completed(b'{"minutes": 12}')
SAME = Completed(b'{ "minutes" : 12 }')
OTHER = Completed(b'{"minutes": 13}')
BAD_ORDER = Failed(Problem("BadOrder", 422).encode())
HANDED = Failed(Problem(HANDED_BACK, 503).encode())
NO_RESULT = UnusableAnswer("not-json", "the value is no JSON")


def seen(*contents: Completed | Failed | UnusableAnswer, sent: int = 1, name: str = "task") -> Observed:
    """What was seen of one task, answered like this."""
    observed = Observed()
    observed.sent[name] = sent
    observed.answers[name] = [SeenAnswer(each, 1.0) for each in contents]
    return observed


def together(*parts: Observed) -> Observed:
    """What was seen of several tasks."""
    observed = Observed()
    for number, part in enumerate(parts):
        observed.sent[f"task {number}"] = 1
        observed.answers[f"task {number}"] = part.seen()
    return observed


def before_stop(observed: Observed) -> Observed:
    """The answer had come before the worker was stopped."""
    observed.answered_before_stop = frozenset({"task"})
    return observed


def cancelled(observed: Observed, *, too_late: bool = False) -> Observed:
    """A task that was cancelled while it was done, or when it had its answer; another one was done as a whole."""
    both = seen(DONE, name=cancels.WHOLE)
    both.sent[cancels.CANCELLED], both.answers[cancels.CANCELLED] = 1, observed.seen()
    if too_late:
        both.answered_before_cancel = both.answered()
    return both


def with_strays(observed: Observed) -> Observed:
    """A record without a token came, too."""
    observed.strays.append("no token")
    return observed


@pytest.mark.parametrize(
    ("decide", "observed", "verdict"),
    [
        (decisions.decide_completed, seen(DONE), PASS),
        (decisions.decide_completed, seen(), FAIL),
        (decisions.decide_completed, seen(BAD_ORDER), FAIL),
        (decisions.decide_completed, seen(NO_RESULT), FAIL),
        (decisions.decide_completed, together(seen(DONE), seen()), FAIL),
        (decisions.decide_copies, seen(DONE, sent=3), PASS),
        (decisions.decide_copies, seen(DONE, SAME, sent=3), PASS),
        (decisions.decide_copies, seen(DONE, OTHER, sent=3), FAIL),
        (decisions.decide_copies, seen(DONE, BAD_ORDER, sent=3), FAIL),
        (decisions.decide_copies, seen(sent=3), FAIL),
        (decisions.decide_failure, seen(BAD_ORDER), PASS),
        (decisions.decide_failure, seen(DONE), FAIL),
        (decisions.decide_failure, seen(NO_RESULT), FAIL),
        (decisions.decide_failure, seen(), FAIL),
        (decisions.decide_past_deadline, seen(), PASS),
        (decisions.decide_past_deadline, seen(DONE), FAIL),
        (decisions.decide_past_start, seen(DONE), FAIL),
        (decisions.decide_other_version, seen(), PASS),
        (decisions.decide_other_version, seen(BAD_ORDER), PASS),
        (decisions.decide_other_version, seen(DONE), FAIL),
        (decisions.decide_no_headers, seen(), PASS),
        (decisions.decide_no_headers, with_strays(seen()), FAIL),
        (cancels.decide_cancelled, seen(), PASS),
        (cancels.decide_cancelled, seen(DONE), NOT_COVERED),
        (cancels.decide_cancelled_while_running, cancelled(seen()), PASS),
        (cancels.decide_cancelled_while_running, cancelled(seen(DONE)), NOT_COVERED),
        (cancels.decide_cancelled_while_running, cancelled(seen(DONE), too_late=True), NOT_COVERED),
        (cancels.decide_cancelled_while_running, seen(name=cancels.WHOLE), FAIL),
        (cancels.decide_forged_cancel, seen(DONE), PASS),
        (cancels.decide_forged_cancel, seen(), FAIL),
        (decisions.decide_restart, seen(DONE), PASS),
        (decisions.decide_restart, seen(), FAIL),
        (decisions.decide_restart, before_stop(seen(DONE)), NOT_COVERED),
        (decisions.decide_stop, seen(DONE), PASS),
        (decisions.decide_stop, seen(), FAIL),
        (decisions.decide_stop, seen(BAD_ORDER), FAIL),
        (decisions.decide_stop, seen(HANDED), FAIL),
        (decisions.decide_stop, before_stop(seen(DONE)), NOT_COVERED),
        (decisions.decide_hand_back, seen(HANDED), PASS),
        (decisions.decide_hand_back, seen(DONE), NOT_COVERED),
        (decisions.decide_hand_back, seen(BAD_ORDER), FAIL),
        (decisions.decide_hand_back, seen(), FAIL),
    ],
)
def test_verdicts(decide: Decide, observed: Observed, verdict: CheckVerdict) -> None:
    """Each rule, kept and broken."""
    result = decide(observed, OPTIONS)
    assert result.verdict is verdict, result.sentence


def test_a_worker_that_does_not_commit_is_not_said_to_answer_twice() -> None:
    """It has done all of it again after a restart; the check on the restart says so."""
    restarted, before = seen(DONE), seen(DONE, DONE)
    restarted.restarted, restarted.uncommitted = True, 3
    result = decisions.decide_restart(restarted, OPTIONS)
    assert (result.verdict, "3 records of before were not committed" in result.sentence) == (PASS, True)
    assert decisions.decide_one_answer([before, restarted]).verdict is NOT_COVERED


def test_a_second_attempt_must_be_done_again() -> None:
    """A worker that drops it because it knows the task id leaves the caller without an answer."""
    observed = seen(DONE, name="first attempt")
    observed.sent["second attempt"] = 1
    result = decisions.decide_next_attempt(observed, OPTIONS)
    assert (result.verdict, "only copies of the same attempt" in result.sentence) == (FAIL, True)


@pytest.mark.parametrize(("answer", "verdict"), [("Größe", PASS), ("GrÃ¶Ã\x9fe", FAIL)])
def test_a_request_that_is_read_in_another_encoding_is_noticed(answer: str, verdict: CheckVerdict) -> None:
    """The same request with escapes shows what the texts are."""
    observed = Observed()
    for name, text in (("task with escapes", "Größe"), ("task in UTF-8", answer)):
        observed.sent[name] = 1
        observed.answers[name] = [SeenAnswer(Completed(f'{{"dishes": ["{text}"]}}'.encode()), 1.0)]
    assert decisions.decide_unicode(observed, OPTIONS).verdict is verdict


def test_texts_with_something_of_their_task_are_read_alike() -> None:
    """Such as its id, the idempotency key that the pages recommend."""
    observed = Observed()
    for name, key in (("task with escapes", "task-a"), ("task in UTF-8", "task-b")):
        observed.sent[name] = 1
        observed.answers[name] = [SeenAnswer(Completed(f'{{"book": "Größe-{key}"}}'.encode()), 1.0)]
    assert decisions.decide_unicode(observed, OPTIONS).verdict is PASS


def test_an_answer_without_a_token_is_named() -> None:
    """The worker answers, and the sentence says why no handler would get the answer."""
    assert "no token" in decisions.decide_completed(with_strays(seen()), OPTIONS).sentence


def test_an_answer_with_the_token_of_another_task_is_named() -> None:
    """The task without an answer is not the one that got two, and the worker has answered both."""
    mixed_up = together(seen(DONE, Completed(b'{"of": "the other"}')), seen())
    result = decisions.decide_completed(mixed_up, OPTIONS)
    assert "the task 1 got no answer; but the task 0 got 2 answers: send each answer with the token" in result.sentence


def test_a_worker_that_answers_twice_is_not_said_to_mix_tasks_up() -> None:
    """While another answer is missing: copies are the same, answers to two tasks mostly are not."""
    result = decisions.decide_completed(together(seen(DONE, DONE), seen()), OPTIONS)
    assert "the task 0 got 2 answers, all the same: it answers twice" in result.sentence


def echoes(**answers: str) -> Observed:
    """Tasks whose requests are their names, with these texts as answers."""
    observed = Observed()
    for name, answer in answers.items():
        observed.sent[name], observed.requests[name] = 1, json.dumps({"id": name[0]}).encode()
        observed.answers[name] = [SeenAnswer(Completed(json.dumps({"dish": answer}).encode()), 1.0)]
    return observed


@pytest.mark.parametrize(
    ("observed", "verdict"),
    [
        (echoes(a1="a", b1="b", a2="a"), PASS),
        (echoes(a1="b", b1="a"), FAIL),
        (echoes(a1="a", b1="a", b2="b"), FAIL),
        (echoes(a1="done", b1="done"), PASS),
        (echoes(a1="a", b1="a"), PASS),
        (echoes(a1="a", a2="c"), PASS),
    ],
)
def test_an_answer_that_repeats_another_request_is_that_ones(observed: Observed, verdict: CheckVerdict) -> None:
    """Each task has an answer; only a worker that repeats something of its requests can be convicted."""
    result = decisions.decide_completed(observed, OPTIONS)
    assert result.verdict is verdict, result.sentence
    assert ("token of its own task" in result.sentence) is (verdict is FAIL)


def test_two_answers_to_one_task_are_noticed() -> None:
    """Of the ordinary tasks, too."""
    twice = seen(DONE, DONE, name=ALIVE)
    assert decisions.decide_one_answer([seen(DONE), twice]).verdict is FAIL
    assert decisions.decide_one_answer([seen(DONE)]).verdict is PASS
    assert decisions.decide_one_answer([seen()]).verdict is NOT_COVERED


def test_answers_after_a_restart_and_to_copies_may_come_again() -> None:
    """At least once is what the wire asks for."""
    restarted = seen(DONE, DONE)
    restarted.restarted = True
    copied = seen(DONE, DONE, sent=2)
    assert decisions.decide_one_answer([seen(DONE), restarted, copied]).verdict is PASS


STARTED, HEARTBEAT = Signal.STARTED, Signal.HEARTBEAT


def reports(*seen_at: tuple[Signal, float], every_ms: int | None = 1000, answered: float = 3.5) -> Observed:
    """A long task with progress at these seconds."""
    observed = seen(DONE)
    observed.answers["task"] = [SeenAnswer(DONE, answered)]
    observed.progress["task"] = [SeenProgress(Report(signal, 0, every_ms=every_ms), "", at) for signal, at in seen_at]
    return observed


@pytest.mark.parametrize(
    ("observed", "verdict"),
    [
        (reports((STARTED, 0), (HEARTBEAT, 1), (HEARTBEAT, 2), (HEARTBEAT, 3)), PASS),
        (reports(), FAIL),
        (reports((HEARTBEAT, 1), (HEARTBEAT, 2)), FAIL),
        (reports((STARTED, 0), (HEARTBEAT, 1), every_ms=None), FAIL),
        (reports((STARTED, 0), (HEARTBEAT, 1), answered=5), FAIL),
        (reports((STARTED, 0), answered=0.5), NOT_COVERED),
        (seen(), FAIL),
    ],
)
def test_progress(observed: Observed, verdict: CheckVerdict) -> None:
    """Started, a heartbeat in each interval, never three intervals without one."""
    result = decide_long_task(observed, OPTIONS)
    assert result.verdict is verdict, result.sentence


@pytest.mark.parametrize(("beat_ms", "verdict"), [(1000, PASS), (8500, FAIL)])
def test_a_machine_that_reads_late_is_no_silence_of_the_worker(beat_ms: int, verdict: CheckVerdict) -> None:
    """Records were written in time and read nine seconds later; those that were written late count as before."""
    observed = reports((STARTED, 0), (HEARTBEAT, 9), answered=9)
    first, second = observed.progress["task"]
    written = (replace(first, written_ms=0), replace(second, written_ms=beat_ms))
    observed.progress["task"] = list(written)
    observed.answers["task"] = [SeenAnswer(DONE, 9, 9000 if verdict is FAIL else 2000)]
    assert decide_long_task(observed, OPTIONS).verdict is verdict


def test_a_heartbeat_that_is_read_after_the_answer_was_sent_before_it() -> None:
    """They come in different topics; the records' own times tell their order."""
    observed = reports((STARTED, 1), (HEARTBEAT, 1), answered=0.5)
    observed.progress["task"] = [
        replace(each, written_ms=at) for each, at in zip(observed.progress["task"], (0, 1000), strict=True)
    ]
    observed.answers["task"] = [SeenAnswer(DONE, 0.5, 1500)]
    assert decide_long_task(observed, OPTIONS).verdict is PASS


def test_a_progress_record_that_bridges_drop_is_named() -> None:
    """It does not count as a heartbeat."""
    observed = reports((STARTED, 0))
    observed.progress["task"].append(SeenProgress(None, "details are no JSON", 1.0))
    result = decide_long_task(observed, OPTIONS)
    assert (result.verdict, "details are no JSON" in result.sentence) == (FAIL, True)


def test_a_record_of_before_the_check_may_be_what_was_answered() -> None:
    """Then it shows nothing, and the sentence says so."""
    observed = with_strays(seen())
    observed.backlog = 1
    result = decisions.decide_no_headers(observed, OPTIONS)
    assert result.verdict is NOT_COVERED
    assert "1 record of before the check had not been done" in result.sentence
    assert "1 record of before the check" in decisions.decide_completed(observed, OPTIONS).sentence


def test_counts_are_sentences() -> None:
    """One task is no tasks; and a task of a worker that was killed was answered, though it may be twice."""
    assert decisions.decide_one_answer([seen(DONE, DONE)]).sentence.startswith("1 task got more than one answer")
    restarted = seen(DONE)
    restarted.restarted = True
    assert "killed or stopped" in decisions.decide_one_answer([restarted]).sentence
    assert decisions.decide_one_answer([]).sentence == "no task was answered"
