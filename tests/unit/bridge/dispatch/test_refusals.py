"""When refusals are more than a proxy that restarts."""

from __future__ import annotations

from kallback.bridge import Misconfigured
from kallback.bridge.dispatch.refusals import RefusalTimer

WRONG = Misconfigured("404", "set the address")
DENIED = Misconfigured("401", "set the key", denied=True)


class TimerEnv:
    """A timer whose clock is the test's."""

    def __init__(self) -> None:
        self.now = 0.0
        self.timer = RefusalTimer(30.0, lambda: self.now)

    def refuse(self, at: float, reply: Misconfigured = WRONG) -> str | None:
        """Note one refusal."""
        self.now = at
        return self.timer.refused(reply)


def test_a_while_of_nothing_else_is_told() -> None:
    """Not before: a proxy may restart."""
    env = TimerEnv()
    assert [env.refuse(at) is not None for at in (0.0, 29.9, 30.0)] == [False, False, True]


def test_another_reply_begins_it_anew() -> None:
    """Whoever answers like Restate is Restate."""
    env = TimerEnv()
    env.refuse(0.0)
    env.timer.clear()
    assert env.refuse(30.0) is None


def test_the_sentence_says_which_setting() -> None:
    """The last refusal counts: it carries the remedy."""
    env = TimerEnv()
    env.refuse(0.0, WRONG)
    assert DENIED.detail in (env.refuse(31.0, DENIED) or "")
