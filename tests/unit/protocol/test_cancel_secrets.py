"""Secrets of cancels: which attempts one secret covers, and what it does not reveal."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kallback.protocol import Attempt, Cancel, CancelProof, CancelReason, Keyring, TaskId
from kallback.protocol.cancel_secrets import CHAIN_LENGTH, cancel_secret, hash_of, last_of_chain, proves

RING = Keyring({"k2": b"2" * 32, "k1": b"1" * 32})
TASK = TaskId("AAECAwQFBgcICQoL")
attempts = st.integers(1, 999_999).map(Attempt)
near = st.integers(-2 * CHAIN_LENGTH, 2 * CHAIN_LENGTH)


def secret(attempt: int, *, task: TaskId = TASK, key_id: str = "k2") -> str:
    """The secret of an attempt."""
    found = cancel_secret(RING, key_id, task, Attempt(attempt))
    assert found is not None
    return found


@given(attempts, near)
def test_a_secret_covers_the_earlier_attempts_of_its_chain_and_no_later_one(attempt: Attempt, distance: int) -> None:
    """Whoever reads a cancel of attempt n cannot cancel attempt n + 1."""
    other = max(1, attempt + distance)
    in_chain = (other - 1) // CHAIN_LENGTH == (attempt - 1) // CHAIN_LENGTH
    assert proves(secret(attempt), hash_of(secret(other))) is (in_chain and other <= attempt)


@given(attempts)
def test_the_last_secret_of_a_chain_covers_all_of_it(attempt: Attempt) -> None:
    """A cancel of all attempts stops the current one, whatever its number."""
    assert proves(secret(last_of_chain(attempt)), hash_of(secret(attempt)))


@given(attempts, attempts)
def test_secrets_of_other_tasks_and_keys_prove_nothing(attempt: Attempt, other: Attempt) -> None:
    """A worker of one task type learns nothing about the tasks of another."""
    wanted = hash_of(secret(attempt))
    assert not proves(secret(other, task=TaskId("x" * 16)), wanted)
    assert not proves(secret(other, key_id="k1"), wanted)


@given(st.text(max_size=43), attempts)
def test_an_arbitrary_text_proves_nothing(text: str, attempt: Attempt) -> None:
    """Whatever a forger writes, it is compared and refused."""
    assert not proves(text, hash_of(secret(attempt)))


def test_an_older_key_derives_as_long_as_it_is_in_the_keyring() -> None:
    """Tasks outlive the rotation of keys."""
    rotated = Keyring({"k3": b"3" * 32, "k2": b"2" * 32})
    assert cancel_secret(rotated, "k2", TASK, Attempt(1)) == secret(1)
    assert cancel_secret(rotated, "k1", TASK, Attempt(1)) is None


def test_a_secret_is_no_tag() -> None:
    """The key signs tokens, too: what is derived for cancels begins in another way."""
    with pytest.raises(ValueError, match="kb1"):
        RING.derive("k2", "kb1:k2:restaurant.prepare")


def test_a_cancel_hides_its_secret() -> None:
    """A log line may show a cancel."""
    cancel = Cancel(TASK, CancelReason.CANCELLED, 1, None, secret(1))
    assert cancel.secret is not None
    assert cancel.secret[:8] not in f"{cancel} {cancel!r} {[cancel]}"


def test_a_task_without_a_hash_takes_every_cancel() -> None:
    """Tasks of earlier versions go on to be cancelled."""
    assert Cancel(TASK, CancelReason.CANCELLED, 1).proof(None) is CancelProof.AUTHENTIC
