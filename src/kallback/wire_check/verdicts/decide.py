"""The verdicts of checks on single answers: what was seen, against what the page of the wire asks. Pure."""

from __future__ import annotations

import re
from typing import Final

from kallback.protocol import Completed, Failed
from kallback.protocol.problems import HANDED_BACK
from kallback.wire_check.observed import CheckResult, CheckVerdict, Observed, SeenAnswer, failed, not_covered, passed
from kallback.wire_check.options import WireCheckOptions
from kallback.wire_check.verdicts.answer_values import meaning, texts_of_answer
from kallback.wire_check.verdicts.mixed_up import answered_for_another, mixed_up

_QUOTED: Final = 3
_BEYOND_ASCII: Final = re.compile(r"[^\x00-\x7f]+")


def decide_completed(observed: Observed, _options: WireCheckOptions) -> CheckResult:
    """Each task must have been completed."""
    if missing := observed.unanswered():
        return failed(f"{_named(missing)} got no answer{_strays(observed)}{mixed_up(observed)}")
    for name, answer in observed.not_completed():
        return failed(f"the {name} {answer.said}; a request that the worker can do must be completed")
    if found := answered_for_another(observed):
        return failed(found)
    count = len(observed.tasks())
    return passed("completed, with the task's token" if count == 1 else f"{count} tasks completed, each with its token")


def decide_next_attempt(observed: Observed, options: WireCheckOptions) -> CheckResult:
    """The second attempt is work of its own."""
    if observed.seen("first attempt") and not observed.seen("second attempt"):
        return failed("the second attempt got no answer: only copies of the same attempt may be dropped")
    return decide_completed(observed, options)


def decide_copies(observed: Observed, _options: WireCheckOptions) -> CheckResult:
    """Copies of an attempt are dropped, or get the same answer."""
    answers = observed.seen()
    if not answers:
        return failed(f"the task got no answer{_strays(observed)}")
    if any(meaning(each) != meaning(answers[0]) for each in answers):
        return failed("copies of one attempt got different answers; drop them, or send the same answer again")
    times = "once" if len(answers) == 1 else f"{len(answers)} times, each time the same"
    return passed(f"sent {observed.sent['task']} times, answered {times}")


def decide_failure(observed: Observed, _options: WireCheckOptions) -> CheckResult:
    """A request that cannot be done must be answered with a failure."""
    answers = observed.seen()
    if not answers:
        return failed(
            f"no answer, so the caller waits until its deadline; send a failed result at once{_strays(observed)}"
        )
    if isinstance(answers[0].content, Completed):
        return failed(
            "it was completed; set kallback-status: failed, or name your framework's error header with --convention"
        )
    if not isinstance(answers[0].content, Failed):
        return failed(f"it {answers[0].said}")
    return passed(f"it {answers[0].said}")


def decide_unicode(observed: Observed, options: WireCheckOptions) -> CheckResult:
    """The same request, as UTF-8 and with escapes, must be read alike."""
    result = decide_completed(observed, options)
    escaped, raw = (_texts(observed, name) for name in ("task with escapes", "task in UTF-8"))
    if result.verdict is CheckVerdict.PASS and escaped - raw:
        return failed("texts of the answer differ from those for the same request with escapes: read requests as UTF-8")
    return result


def decide_skipped(observed: Observed, why: str) -> CheckResult:
    """The task must not have been done."""
    if answers := observed.seen():
        return failed(f"it {answers[0].said}; {why}")
    return passed("it was skipped")


def decide_past_deadline(observed: Observed, _options: WireCheckOptions) -> CheckResult:
    """A task whose deadline has passed is skipped."""
    return decide_skipped(
        observed, "its deadline was an hour ago, and bridges treat the answer as late; skip such a task"
    )


def decide_past_start(observed: Observed, _options: WireCheckOptions) -> CheckResult:
    """A task that should have been started earlier is skipped."""
    return decide_skipped(observed, "the time in kallback-start-by has passed, and the caller has given the attempt up")


def decide_other_version(observed: Observed, _options: WireCheckOptions) -> CheckResult:
    """A task of an unknown version is not done."""
    answers = observed.seen()
    if answers and isinstance(answers[0].content, Completed):
        return failed("it was completed; refuse tasks whose kallback-version is not 1")
    return passed(f"it was refused: it {answers[0].said}" if answers else "it was skipped")


def decide_no_headers(observed: Observed, _options: WireCheckOptions) -> CheckResult:
    """Records that are no tasks are skipped."""
    if observed.strays and observed.backlog:
        return not_covered(f"a record arrived on the reply topic that no task asked for; {earlier_records(observed)}")
    if observed.strays:
        return failed(
            f"a record arrived on the reply topic that no task asked for ({observed.strays[0]}); skip such records"
        )
    return passed("skipped, and the next task was done")


def decide_restart(observed: Observed, options: WireCheckOptions) -> CheckResult:
    """What was under way when the worker was killed is done after its restart."""
    if missing := observed.unanswered():
        lost = (
            f"{len(missing)} of {counted(len(observed.tasks()), 'task')} {'were' if len(missing) > 1 else 'was'} lost"
        )
        return failed(f"{lost}; commit an offset when Kafka has acknowledged that result and those of all before it")
    left = len(observed.tasks()) - len(observed.answered_before_stop)
    if not left:
        return not_covered("all tasks were answered before the worker could be killed: give a --long-request")
    result = decide_completed(observed, options)
    if result.verdict is CheckVerdict.PASS and observed.uncommitted:
        done = f"{counted(observed.uncommitted, 'record')} of before were not committed long after they had been done"
        return passed(f"{result.sentence}; but {done}, and came again")
    return result


def decide_stop(observed: Observed, _options: WireCheckOptions) -> CheckResult:
    """A stop is no failure of the task."""
    return _stopped(observed) or passed("the task was completed" + _however(observed))


def decide_hand_back(observed: Observed, _options: WireCheckOptions) -> CheckResult:
    """A task may be handed back; otherwise it is completed."""
    if any(_is_handed_back(each) for each in observed.seen()):
        return passed("the attempt was handed back")
    return _stopped(observed) or not_covered("the task was completed, not handed back, which is optional")


def decide_one_answer(everything: list[Observed]) -> CheckResult:
    """Each task that was sent once, to a worker that was not stopped, has one answer."""
    steady = [each for each in everything if not each.restarted]
    counts = [(name, len(each.seen(name))) for each in steady for name, sent in each.sent.items() if sent == 1]
    more = [count for _, count in counts if count > 1]
    if not any(count for _, count in counts):
        if any(each.seen(name) for each in everything for name in each.sent):
            return not_covered("only tasks of a worker that was killed or stopped were answered: those may come twice")
        return not_covered("no task was answered")
    if more and any(each.uncommitted for each in everything):
        return not_covered(f"{counted(len(more), 'task')} came again after a restart, because they were not committed")
    if more:
        return failed(
            f"{counted(len(more), 'task')} got more than one answer, up to {max(more)}; send each result once"
        )
    return passed("each task that was sent once got one answer at most")


def counted(number: int, noun: str) -> str:
    """A number and its noun."""
    return f"{number} {noun}{'s' * (number != 1)}"


def _stopped(observed: Observed) -> CheckResult | None:
    """What is wrong with the answer to a task whose worker was stopped; None: it was completed."""
    if "task" in observed.answered_before_stop:
        return not_covered("it was answered before the worker could be stopped: give a longer --long-request")
    if not observed.seen():
        return failed("the task was lost: after the restart it got no answer")
    for answer in observed.seen():
        if _is_handed_back(answer):
            return failed("it was handed back, though the task does not have the header kallback-hand-back")
        if not isinstance(answer.content, Completed):
            return failed(f"the stop of the worker became a failure of the task: it {answer.said}")
    return None


def _however(observed: Observed) -> str:
    return ", but the worker did not end after SIGTERM and was killed" if observed.had_to_be_killed else ""


def _is_handed_back(answer: SeenAnswer) -> bool:
    return isinstance(answer.content, Failed) and answer.problem.type == HANDED_BACK


def earlier_records(observed: Observed) -> str:
    """Say that the worker may still be busy with records of before the check."""
    return (
        f"{counted(observed.backlog, 'record')} of before the check had not been done when it began, and the answer "
        "may be to one of them: check again when the worker's group has read the topic, or give a topic of its own"
    )


def _strays(observed: Observed) -> str:
    if not observed.strays:
        return ""
    if observed.backlog:
        return f"; a record arrived that belongs to no task, but {earlier_records(observed)}"
    return f"; but a record arrived that belongs to no task ({observed.strays[0]})"


def _named(names: list[str]) -> str:
    shown = ", ".join(names[:_QUOTED])
    return f"the {shown}" if len(names) <= _QUOTED else f"{len(names)} tasks"


def _texts(observed: Observed, name: str) -> set[str]:
    """All runs of characters beyond ASCII in the answers to a task: ids and times beside them differ between tasks."""
    texts = [text for each in observed.seen(name) for text in texts_of_answer(each)]
    return {run for text in texts for run in _BEYOND_ASCII.findall(text)}
