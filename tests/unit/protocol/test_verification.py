"""What proves a result record, and what does not."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from tests.unit.bridge.factories import RecordFactory

from kallback.protocol import AwakeableId, BareAwakeable, Keyring, Token, UnverifiedError
from kallback.protocol.verification import Trust, is_late, verify

KEYRING = Keyring({"k1": b"1" * 32})
TRUST = Trust(KEYRING, "kallback.results")
BARE = Trust(KEYRING, "kallback.results", allow_bare=True)
BARE_ID = "sign_1" + "A" * 32 + "AAAAEQ"
RESERVED_ID = "sign_1" + "A" * 32 + "AAAAAQ"


@pytest.fixture
def make() -> RecordFactory:
    """Makes tokens."""
    return RecordFactory()


def reason(value: bytes | None, headers: Any, trust: Trust = TRUST) -> str:
    """Why verification fails."""
    with pytest.raises(UnverifiedError) as caught:
        verify(value, headers, trust)
    return caught.value.reason


def test_a_signed_token_is_verified(make: RecordFactory) -> None:
    """The token's own words come back, and its tag stands for it."""
    token = make.token()
    text = make.sign(token)

    verified = verify(b"1", [("kallback-token", text.encode())], TRUST)

    assert verified.target == token
    assert verified.identity == text.rsplit(":", 1)[1]
    assert verified.result.token == text


def test_no_token() -> None:
    """A record without a token proves nothing."""
    assert reason(b"{}", []) == "no-token"


def test_a_tombstone_has_no_token() -> None:
    """A record without value and headers is unverified, not a crash."""
    assert reason(None, []) == "no-token"


def test_a_garbage_token() -> None:
    """Text that is no token at all."""
    assert reason(b"1", [("kallback-token", b"hello")]) == "malformed-token"


def test_a_non_utf8_header() -> None:
    """Bytes that are no text are no token."""
    assert reason(b"1", [("kallback-token", b"\xff\xfe")]) == "malformed-token"


def test_a_wrong_tag(make: RecordFactory) -> None:
    """One changed character and the token proves nothing."""
    text = make.sign()
    assert reason(b"1", [("kallback-token", (text[:-1] + ("A" if text[-1] != "A" else "B")).encode())]) == "wrong-tag"


def test_an_unknown_key(make: RecordFactory) -> None:
    """A token of a key that this bridge does not have."""
    text = make.sign(keyring=Keyring({"k9": b"9" * 32}))
    assert reason(b"1", [("kallback-token", text.encode())]) == "unknown-key"


def test_the_published_key(make: RecordFactory) -> None:
    """The development key is unknown to a bridge that was not asked to be insecure."""
    text = make.sign(keyring=Keyring.insecure())
    assert reason(b"1", [("kallback-token", text.encode())]) == "unknown-key"


def test_another_results_topic(make: RecordFactory) -> None:
    """A token is good on one results topic only."""
    text = make.sign(audience="other.results")
    assert reason(b"1", [("kallback-token", text.encode())]) == "wrong-tag"


def test_a_reserved_signal(make: RecordFactory) -> None:
    """A token that would cancel an invocation is refused, though its tag is right."""
    text = make.sign(make.token(awakeable=AwakeableId(RESERVED_ID)))
    assert reason(b"1", [("kallback-token", text.encode())]) == "reserved-signal"


def test_a_non_canonical_awakeable_id(make: RecordFactory) -> None:
    """Base64 has aliases; only one of them is the id."""
    text = make.sign(make.token(awakeable=AwakeableId(BARE_ID[:-1] + "R")))
    assert reason(b"1", [("kallback-token", text.encode())]) == "invalid-awakeable-id"


def test_contradicting_tokens(make: RecordFactory) -> None:
    """Two different tokens in one record: neither counts."""
    headers = [("kallback-token", make.sign().encode()), ("kallback-token", make.sign().encode())]
    assert reason(b"1", headers) == "ambiguous-token"


def test_a_bare_awakeable_is_refused_by_default() -> None:
    """An awakeable id proves nothing; the sentence names the switch."""
    with pytest.raises(UnverifiedError, match="--allow-bare-awakeables") as caught:
        verify(b"1", [("kallback-token", BARE_ID.encode())], TRUST)
    assert caught.value.reason == "bare-awakeable"


def test_a_bare_awakeable_is_taken_where_allowed() -> None:
    """With the switch, the id itself is the target."""
    verified = verify(b"1", [("kallback-token", BARE_ID.encode())], BARE)

    assert verified.target == BareAwakeable(BARE_ID)  # type: ignore[arg-type] # any text will do here
    assert verified.identity == BARE_ID


def test_a_reserved_bare_awakeable_is_refused_even_where_allowed() -> None:
    """The switch does not open the door to cancelling invocations."""
    assert reason(b"1", [("kallback-token", RESERVED_ID.encode())], BARE) == "reserved-signal"


def test_tokens_still_count_where_bare_ids_are_allowed(make: RecordFactory) -> None:
    """The switch adds a way in, it takes none away."""
    assert isinstance(verify(b"1", [("kallback-token", make.sign().encode())], BARE).target, Token)


@pytest.mark.parametrize(("now_ms", "late"), [(31_000, False), (31_001, True)])
def test_a_result_is_late_when_deadline_and_grace_have_passed(make: RecordFactory, now_ms: int, late: bool) -> None:  # noqa: FBT001
    """The deadline itself and the whole grace still count."""
    token = msgspec.structs.replace(make.token(), deadline_ms=1_000)

    assert is_late(token, now_ms, 30_000) is late


@pytest.mark.parametrize("target", [BareAwakeable(AwakeableId(BARE_ID)), RecordFactory().token()])
def test_what_has_no_deadline_is_never_late(target: Token | BareAwakeable) -> None:
    """A bare awakeable, and a token whose caller set no deadline."""
    assert not is_late(target, 1e15, 0)
