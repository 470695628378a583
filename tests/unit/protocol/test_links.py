"""Links of tasks, and the forms in them."""

from __future__ import annotations

import base64

import msgspec
import pytest

from kallback.protocol import Keyring
from kallback.protocol.links import Choice, Form, link_of, read_form, sign_form, token_in

OLD, NEW = b"1" * 32, b"2" * 32
KEYRING = Keyring({"k1": OLD})
TOKEN = "kb1:k1:orders.approve"
FORM = Form("Order the lamp?", (Choice("Approve", msgspec.Raw(b"true")), Choice("Refuse", msgspec.Raw(b"false"))))


@pytest.mark.parametrize("base", ["https://example.com", "https://example.com/"])
def test_a_link_is_the_address_and_the_token(base: str) -> None:
    """With one slash between them."""
    assert link_of(base, "kb1:x") == "https://example.com/v1/kb1:x"


def test_a_form_is_read_as_it_was_signed() -> None:
    """Also after a rotation, while its key verifies."""
    text = sign_form(FORM, TOKEN, KEYRING)

    assert read_form(text, TOKEN, KEYRING) == FORM
    assert read_form(text, TOKEN, Keyring({"k2": NEW, "k1": OLD})) == FORM


@pytest.mark.parametrize("at", ["content", "key", "tag"])
def test_an_altered_form_is_none(at: str) -> None:
    """Each part is signed."""
    content, key_id, tag = sign_form(FORM, TOKEN, KEYRING).split(".")
    other, _, _ = sign_form(Form("Order the ship?", FORM.choices), TOKEN, KEYRING).split(".")
    altered = {
        "content": f"{other}.{key_id}.{tag}",
        "key": f"{content}.k2.{tag}",
        "tag": f"{content}.{key_id}.{tag[::-1]}",
    }

    assert read_form(altered[at], TOKEN, KEYRING) is None


@pytest.mark.parametrize("text", ["", ".", "..", "x", "ä.k1.x", "====.k1.x", "_w.k1.x", "x" * 10_000])
def test_a_text_that_is_no_form_is_none(text: str) -> None:
    """It comes from whoever has a browser."""
    assert read_form(text, TOKEN, KEYRING) is None


def test_a_form_of_a_later_version_is_none() -> None:
    """It is signed, and says something else."""
    later = '{"question":"?"}'
    digest = KEYRING.derive("k1", f"kallback-form\n{TOKEN}\n{later}")
    assert digest is not None
    parts = [base64.urlsafe_b64encode(each).decode().rstrip("=") for each in (later.encode(), digest)]

    assert read_form(f"{parts[0]}.k1.{parts[1]}", TOKEN, KEYRING) is None


def test_a_form_is_of_one_token() -> None:
    """The question of one task does not go with the answer of another one."""
    assert read_form(sign_form(FORM, TOKEN, KEYRING), f"{TOKEN}2", KEYRING) is None


@pytest.mark.parametrize(
    ("form", "sentence"),
    [
        (Form(" ", FORM.choices), "question"),
        (Form("?" * 501, FORM.choices), "question"),
        (Form("?", ()), "choices"),
        (Form("?", FORM.choices * 5), "choices"),
        (Form("?", (Choice("", msgspec.Raw(b"1")),)), "label"),
        (Form("?", (Choice("x", msgspec.Raw(b'"%b"' % (b"x" * 7000))),)), "fit"),
    ],
)
def test_what_no_page_and_no_link_can_have_is_refused(form: Form, sentence: str) -> None:
    """Where it is made, with what to change."""
    with pytest.raises(ValueError, match=sentence):
        sign_form(form, TOKEN, KEYRING)


@pytest.mark.parametrize("link", ["kb1:a:b", "https://g.example/v1/kb1:a:b", "https://g.example/v1/kb1:a:b?form=x.y.z",
                                  "https://g.example/v1/v1/kb1:a:b/failure"])  # fmt: skip
def test_the_token_in_a_link_is_found(link: str) -> None:
    """With or without a form or an action; a token is its own."""
    assert token_in(link) == "kb1:a:b"
