"""A function of the user's that returns access tokens, or something else, or never."""

from __future__ import annotations

import sys
import threading

import pytest

from kallback.kafka.login.token_function import TokenFunction
from kallback.protocol.errors import ConfigurationError, KafkaUnavailableError


async def asynchronous() -> tuple[str, float]:
    """A provider of the wrong kind."""
    return "token", 2e9


def test_a_token_and_its_expiry_are_what_a_function_returns() -> None:
    """As epoch seconds."""
    token = TokenFunction(lambda: ("abc", 4e9), "m:f")()
    assert (token.text.reveal(), token.expires_at) == ("abc", 4e9)


@pytest.mark.parametrize(
    ("returned", "remedy"),
    [
        ("abc", "returned a str"),
        (("abc", "soon"), "epoch seconds"),
        (("abc", 4e12), "divide it by 1000"),
        (("abc", 1000.0), "expired already"),
        (("hu sh\x01", 4e9), "no bearer token"),
        (asynchronous(), "plain function"),
    ],
)
def test_what_is_no_token_is_refused(returned: object, remedy: str) -> None:
    """The sentence says what to return, and does not repeat what was."""
    with pytest.raises(ConfigurationError, match=remedy) as caught:
        TokenFunction(lambda: returned, "m:f")()
    assert "m:f" in str(caught.value)
    assert "hu sh" not in str(caught.value)


def test_a_function_that_raises_may_do_better_later() -> None:
    """Such as one that asks a metadata service."""
    with pytest.raises(KafkaUnavailableError, match=r"m:f failed \(ZeroDivisionError: division by zero\)"):
        TokenFunction(lambda: 1 / 0, "m:f")()


def test_a_function_that_ends_the_process_ends_its_call_only() -> None:
    """It is told as every other failure."""
    with pytest.raises(KafkaUnavailableError, match=r"m:f failed \(SystemExit: 3\)"):
        TokenFunction(lambda: sys.exit(3), "m:f")()


def test_what_a_function_raises_is_one_line_of_bounded_length() -> None:
    """It may repeat what a server has said."""

    def fails() -> None:
        raise ValueError("a\n" + "b" * 100_000)

    with pytest.raises(KafkaUnavailableError, match="a b") as caught:
        TokenFunction(fails, "m:f")()
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 1000


def test_a_function_that_hangs_keeps_one_thread_and_its_token_counts_when_it_comes() -> None:
    """Each client asks for a token again and again meanwhile."""
    calls: list[int] = []
    goes_on = threading.Event()

    def hangs() -> tuple[str, float]:
        calls.append(1)
        goes_on.wait()
        return "late", 4e9

    function = TokenFunction(hangs, "m:f", timeout=0.05)
    for _ in range(3):
        with pytest.raises(KafkaUnavailableError, match=r"m:f has not returned within 0\.05 s: let it"):
            function()
    goes_on.set()
    function._timeout = 30.0
    assert function().text.reveal() == "late"
    assert len(calls) == 1
