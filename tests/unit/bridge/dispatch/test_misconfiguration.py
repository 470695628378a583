"""When refusals mean that a setting is wrong."""

from __future__ import annotations

from kallback.bridge import Misconfigured
from kallback.bridge.dispatch.misconfiguration import MisconfigurationTimer
from kallback.protocol import AccessDeniedError, ConfigurationError

WRONG = Misconfigured("404", "set the address")
DENIED = Misconfigured("401", "set the key", denied=True)


class TimerEnv:
    """A timer whose clock is the test's."""

    def __init__(self) -> None:
        self.now = 0.0
        self.timer = MisconfigurationTimer(30.0, lambda: self.now)

    def refuse(self, at: float, reply: Misconfigured = WRONG) -> Exception | None:
        """Note one refusal."""
        self.now = at
        return self.timer.error_after(reply)


def test_a_while_of_nothing_else_is_an_error() -> None:
    """Not before: a proxy may restart."""
    env = TimerEnv()
    assert [env.refuse(at) is not None for at in (0.0, 29.9, 30.0)] == [False, False, True]


def test_another_reply_begins_it_anew() -> None:
    """Whoever answers like Restate is Restate."""
    env = TimerEnv()
    env.refuse(0.0)
    env.timer.clear()
    assert env.refuse(30.0) is None


def test_the_error_says_which_setting() -> None:
    """A wrong key is another error than a wrong address; both carry the remedy."""
    found: list[Exception | None] = []
    for reply in (WRONG, DENIED):
        env = TimerEnv()
        env.refuse(0.0, reply)
        found.append(env.refuse(31.0, reply))
    assert [type(each) for each in found] == [ConfigurationError, AccessDeniedError]
    assert [reply.detail in str(each) for reply, each in zip((WRONG, DENIED), found, strict=True)] == [True, True]
