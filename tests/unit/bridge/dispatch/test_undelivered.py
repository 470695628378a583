"""When failures are more than a proxy or a server that restarts."""

from __future__ import annotations

from kallback.bridge import Misconfigured, Retry
from kallback.bridge.dispatch.undelivered import UndeliveredTimer

WRONG = Misconfigured("404", "set the address")
AWAY = Retry("unreachable", "http://restate:8080 cannot be reached")
DENIED = Misconfigured("401", "set the key", denied=True)


class TimerEnv:
    """A timer whose clock is the test's."""

    def __init__(self) -> None:
        self.now = 0.0
        self.timer = UndeliveredTimer(30.0, lambda: self.now)

    def fail(self, at: float, reply: Misconfigured | Retry = WRONG) -> str | None:
        """Note one failure."""
        self.now = at
        return self.timer.failed(reply)


def test_a_while_of_nothing_else_is_told() -> None:
    """Not before: a proxy may restart."""
    env = TimerEnv()
    assert [env.fail(at) is not None for at in (0.0, 29.9, 30.0)] == [False, False, True]


def test_another_reply_begins_it_anew() -> None:
    """A record that Restate accepted or refused ends an outage."""
    env = TimerEnv()
    env.fail(0.0)
    env.timer.clear()
    assert env.fail(30.0) is None


def test_the_sentence_says_which_setting() -> None:
    """The last failure counts: it carries the remedy."""
    env = TimerEnv()
    env.fail(0.0, WRONG)
    assert DENIED.detail in (env.fail(31.0, DENIED) or "")


def test_an_outage_counts_as_refusals_do() -> None:
    """Where a single result waits, the circuit breaker stays closed: only the time tells."""
    env = TimerEnv()
    env.fail(0.0, AWAY)
    assert AWAY.detail in (env.fail(30.0, AWAY) or "")
