"""A secret does not show."""

from __future__ import annotations

import pickle

import pytest

from kallback.settings import Secret


def test_its_text_shows_in_no_representation() -> None:
    """Neither repr nor str nor formatting leaks it."""
    secret = Secret("hush")
    assert "hush" not in f"{secret!r} {secret} {[secret]}"
    assert secret.reveal() == "hush"


def test_it_is_not_pickled() -> None:
    """Pickling would write the text somewhere."""
    with pytest.raises(TypeError, match="not pickled"):
        pickle.dumps(Secret("hush"))


def test_equal_texts_are_equal_secrets() -> None:
    """Settings compare by value, secrets included; a plain text is never equal."""
    assert Secret("a") == Secret("a") != Secret("b")
    assert len({Secret("a"), Secret("a")}) == 1
    assert Secret("a") != "a"
    assert not Secret("")
