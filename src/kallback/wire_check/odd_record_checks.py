"""Checks with records that a careless worker does not survive: they come last. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from kallback.protocol.headers import VERSION
from kallback.wire_check.options import WireCheckOptions
from kallback.wire_check.protocol_check import CheckNeed, check_of, good_request
from kallback.wire_check.steps import AwaitAnswers, CheckStep, SendNoTask, SendTask
from kallback.wire_check.verdicts.decide import decide_failure, decide_no_headers, decide_other_version

_NOT_JSON: Final = b'{"this is": not JSON'


@check_of("failure", "A failure is a failed result.", "how-to-fail", decide_failure, CheckNeed.FAILING_REQUEST)
def _failure(options: WireCheckOptions) -> Sequence[CheckStep]:
    return SendTask(name="task", value=options.requests.failing or b"null"), AwaitAnswers()


@check_of("bad-request", "A request that cannot be read is a failed result.", "how-to-fail", decide_failure)
def _bad_request(_options: WireCheckOptions) -> Sequence[CheckStep]:
    return SendTask(name="task", value=_NOT_JSON), AwaitAnswers()


@check_of(
    "other-version",
    "A task of another version is refused.",
    "what-to-read-the-task-record",
    decide_other_version,
)
def _other_version(options: WireCheckOptions) -> Sequence[CheckStep]:
    return (SendTask(name="task", value=good_request(options), changed=((VERSION, b"2"),)),)


@check_of(
    "no-headers",
    "Records that are no tasks are skipped.",
    "what-to-read-the-task-record",
    decide_no_headers,
)
def _no_headers(options: WireCheckOptions) -> Sequence[CheckStep]:
    return SendNoTask(good_request(options)), SendNoTask(None)


ODD_RECORD_CHECKS: Final = (
    _failure,
    _bad_request,
    _other_version,
    _no_headers,
)
