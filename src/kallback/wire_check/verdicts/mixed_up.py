"""Whether answers came to other tasks than they belong to. Pure.

An answer that is missing may have come with the token of another task. If two tasks have each other's answers, none is
missing: then only a worker whose answers repeat something of their requests can be convicted.
"""

from __future__ import annotations

import itertools
from typing import Final

from kallback.wire_check.observed import Observed
from kallback.wire_check.verdicts.answer_values import meaning, texts_of, texts_of_answer

_COMPARED: Final = 20
"""Texts of a request that are looked for: enough to tell it from others."""
_QUOTED: Final = 40


def mixed_up(observed: Observed) -> str:
    """Whether the answer that is missing came to another task: it differs from that one's own, where copies do not."""
    for name in observed.tasks():
        answers = observed.seen(name)
        if len(answers) <= observed.sent[name]:
            continue
        if all(meaning(each) == meaning(answers[0]) for each in answers):
            return (
                f"; and the {name} got {len(answers)} answers, all the same: it answers twice, or with the token of "
                "another task"
            )
        return f"; but the {name} got {len(answers)} answers: send each answer with the token of its own task"
    return ""


def answered_for_another(observed: Observed) -> str:
    """Say which task got the answer of another one; empty if nothing shows that.

    What only its own request has is nowhere in the answer, though it is in others, and what only another request has is
    there.
    """
    if len(set(observed.requests.values())) < 2:  # noqa: PLR2004 - then all answers may be alike
        return ""
    requests = {name: texts_of(observed.requests[name]) for name in observed.tasks()}
    answers = {name: "\n".join(itertools.chain(*map(texts_of_answer, observed.seen(name)))) for name in requests}
    for (name, own), (other, others) in itertools.permutations(requests.items(), 2):
        mine, theirs = _only(own, others), _only(others, own)
        found = next((text for text in theirs if text in answers[name]), None)
        if found is None or _has(answers[name], mine):
            continue
        if any(_has(answer, mine) for answer in answers.values()):
            return (
                f"the answer to the {name} has {found[:_QUOTED]!r} of the request of the {other}, and nothing of its "
                "own: send each answer with the token of its own task"
            )
    return ""


def _only(texts: set[str], others: set[str]) -> list[str]:
    """The longest of those texts that the others are not."""
    return sorted(texts - others, key=len, reverse=True)[:_COMPARED]


def _has(answer: str, texts: list[str]) -> bool:
    return any(text in answer for text in texts)
