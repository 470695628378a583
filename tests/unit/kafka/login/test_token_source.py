"""One token for a process, renewed in time, and used on while a renewal fails."""

from __future__ import annotations

import pytest

from kallback.kafka.login.access_token import AccessToken
from kallback.kafka.login.token_source import TokenSource
from kallback.protocol.errors import AccessDeniedError, KafkaUnavailableError, KallbackError
from kallback.settings import Secret


class Clock:
    """A time that tests set."""

    now = 1000.0

    def __call__(self) -> float:
        """Epoch seconds."""
        return self.now


class Endpoint:
    """Issues tokens that live 100 s, unless it is down."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.asked = 0
        self.down = False
        self.failure: KallbackError = KafkaUnavailableError("the endpoint is down")

    def __call__(self) -> AccessToken:
        """Return the next token."""
        self.asked += 1
        if self.down:
            raise self.failure
        return AccessToken(Secret(f"t{self.asked}"), self._clock.now + 100)


@pytest.fixture
def clock() -> Clock:
    """Begins at 1000 s."""
    return Clock()


@pytest.fixture
def endpoint(clock: Clock) -> Endpoint:
    """It is up."""
    return Endpoint(clock)


@pytest.fixture
def source(endpoint: Endpoint, clock: Clock) -> TokenSource:
    """What is tested."""
    return TokenSource(endpoint, clock, clock)


def test_a_token_is_used_for_four_fifths_of_its_life(source: TokenSource, clock: Clock, endpoint: Endpoint) -> None:
    """And not asked for at each connection."""
    texts: list[str] = []
    for clock.now in (1000.0, 1079.0, 1080.0, 1159.0):
        texts.append(source.token().text.reveal())
    assert texts == ["t1", "t1", "t2", "t2"]
    assert endpoint.asked == 2


def test_a_token_that_expires_on_its_way_is_a_sentence(clock: Clock) -> None:
    """A slow issuer of short lives; the next one may arrive in time, and one that is good is kept."""
    seconds = iter([5.0, 0.0, 5.0])

    def issue() -> AccessToken:
        expires_at = clock.now + 4
        clock.now += next(seconds)
        return AccessToken(Secret("t"), expires_at)

    source = TokenSource(issue, clock, clock)
    with pytest.raises(KafkaUnavailableError, match="had expired when it arrived: give tokens a longer life"):
        source.token()
    clock.now += 2
    assert source.token().text.reveal() == "t"
    clock.now += 3.5
    with pytest.raises(KafkaUnavailableError, match="had expired when it arrived"):
        source.token()


def test_a_failed_renewal_leaves_the_token_until_it_expires(
    source: TokenSource, clock: Clock, endpoint: Endpoint
) -> None:
    """Then the endpoint's error counts, and its return."""
    source.token()
    endpoint.down = True
    clock.now = 1099.0
    assert source.token().text.reveal() == "t1"
    assert source.failure is not None
    clock.now = 1100.0
    with pytest.raises(KafkaUnavailableError, match="the endpoint is down"):
        source.token()
    endpoint.down = False
    clock.now = 1110.0
    assert source.token().text.reveal() == "t3"
    assert source.failure is None


def test_an_endpoint_that_fails_is_not_asked_at_once_again(
    source: TokenSource, clock: Clock, endpoint: Endpoint
) -> None:
    """Each of a process's clients asks, several times a second."""
    endpoint.down = True
    for clock.now in (1000.0, 1000.5, 1001.9, 1002.0):
        with pytest.raises(KafkaUnavailableError):
            source.token()
    assert endpoint.asked == 2


def test_a_clock_that_is_set_back_makes_no_token_live_longer(clock: Clock, endpoint: Endpoint) -> None:
    """As happens to machines whose clock is wrong when they start."""
    elapsed = Clock()
    source = TokenSource(endpoint, clock, elapsed)
    source.token()
    clock.now -= 86_400.0
    elapsed.now += 80.0
    assert source.token().text.reveal() == "t2"


def test_a_clock_that_is_set_back_delays_no_other_try(clock: Clock, endpoint: Endpoint) -> None:
    """The endpoint answers again, and the pause between two tries is over."""
    elapsed = Clock()
    source = TokenSource(endpoint, clock, elapsed)
    endpoint.down = True
    with pytest.raises(KafkaUnavailableError):
        source.token()
    endpoint.down = False
    clock.now -= 3600.0
    elapsed.now += 2.0
    assert source.token().text.reveal() == "t2"


def test_a_token_is_old_after_the_machine_has_slept(clock: Clock, endpoint: Endpoint) -> None:
    """The clock that nobody sets stands still meanwhile."""
    source = TokenSource(endpoint, clock, Clock())
    source.token()
    clock.now += 100.0
    assert source.token().text.reveal() == "t2"


def test_a_token_that_a_broker_refuses_is_replaced(source: TokenSource, clock: Clock, endpoint: Endpoint) -> None:
    """It may have been revoked: long before four fifths of its life, and at most once in ten seconds."""
    texts: list[str] = []
    for clock.now in (1000.0, 1009.9, 1010.0, 1010.1, 1019.9, 1020.1):
        texts.append(source.token().text.reveal())
        source.refused()
    assert texts == ["t1", "t1", "t1", "t2", "t2", "t2"]
    assert source.token().text.reveal() == "t3"
    assert endpoint.asked == 3


def test_a_refused_token_is_used_while_there_is_no_other(source: TokenSource, clock: Clock, endpoint: Endpoint) -> None:
    """The refusal may have had another reason; the endpoint is asked again and again."""
    source.token()
    clock.now, endpoint.down = 1010.0, True
    source.refused()
    assert source.token().text.reveal() == "t1"
    clock.now, endpoint.down = 1012.0, False
    assert source.token().text.reveal() == "t3"


def test_a_refusal_may_pass_once_a_broker_has_let_this_process_in(
    source: TokenSource, clock: Clock, endpoint: Endpoint
) -> None:
    """At the first login it is for good; later the endpoint or the broker has the trouble, and it is tried again."""
    endpoint.down, endpoint.failure = True, AccessDeniedError("unknown client")
    with pytest.raises(AccessDeniedError):
        source.token()
    assert isinstance(source.refusal(endpoint.failure), AccessDeniedError)
    endpoint.down, clock.now = False, 1010.0
    source.token()
    source.accepted()
    endpoint.down, clock.now = True, 1200.0
    with pytest.raises(KafkaUnavailableError, match="unknown client"):
        source.token()
    assert isinstance(source.refusal(endpoint.failure), KafkaUnavailableError)
