"""Links of tasks: an address of a gateway with a token in it. Who has the link can complete the attempt, once.

A link may carry a form: a question and the answers to choose from, which a gateway shows as a page with buttons. It is
signed together with the token, so a gateway shows no text but that of the handler, and keeps nothing:

    /v1/TOKEN?form=<base64url of the JSON>.<kid>.<base64url of HMAC-SHA256(key, "kallback-form" LF token LF JSON)>

Its values were checked where the form was made, because a gateway need not know the task type.
"""

from __future__ import annotations

import base64
import binascii
import hmac
from typing import Final

import msgspec

from kallback.protocol.tokens import Keyring

GATEWAY_ROOT: Final = "/v1/"
"""The path below which a gateway answers; a token follows, or the name of an action."""
FORM_PARAMETER: Final = "form"
MAX_QUESTION_CHARACTERS: Final = 500
MAX_LABEL_CHARACTERS: Final = 60
MAX_CHOICES: Final = 8
MAX_FORM_BYTES: Final = 6144
"""Of its text in a link. Mail programs and proxies take addresses of 8 KiB; the token has up to 0.5 KiB."""
_CONTEXT: Final = "kallback-form"  # no token and no secret of a cancel begins so


class Choice(msgspec.Struct, frozen=True, array_like=True):
    """One button.

    Attributes:
        label: its text.
        value: the result that it sends, as JSON.
    """

    label: str
    value: msgspec.Raw


class Form(msgspec.Struct, frozen=True, array_like=True):
    """A question with its answers. Texts are plain: a page escapes them."""

    question: str
    choices: tuple[Choice, ...]


_FORM: Final = msgspec.json.Decoder(Form)


def link_of(base: str, token: str, form: str = "") -> str:
    """The link of a token at the gateway whose address is `base`. A bearer credential, like the token.

    Args:
        base: address of the gateway.
        token: of the attempt.
        form: as `sign_form` returns it.
    """
    return f"{base.rstrip('/')}{GATEWAY_ROOT}{token}" + (f"?{FORM_PARAMETER}={form}" if form else "")


def token_in(text: str) -> str:
    """The token in a link, also in one with a form; any other text as it is."""
    _, root, rest = text.rpartition(GATEWAY_ROOT)
    return rest.partition("?")[0].partition("/")[0] if root else text


def check_form(form: Form) -> None:
    """Check the bounds of a form.

    Raises:
        ValueError: a text is empty or too long, or there are too many choices; the sentence says what to change.
    """
    if not 1 <= len(form.question.strip()) <= MAX_QUESTION_CHARACTERS:
        raise ValueError(f"question must have 1 to {MAX_QUESTION_CHARACTERS} characters: put the details into the mail")
    if not 1 <= len(form.choices) <= MAX_CHOICES:
        raise ValueError(f"choices must be 1 to {MAX_CHOICES}, not {len(form.choices)}")
    for choice in form.choices:
        if not 1 <= len(choice.label.strip()) <= MAX_LABEL_CHARACTERS:
            raise ValueError(f"each label of choices must have 1 to {MAX_LABEL_CHARACTERS} characters")


def sign_form(form: Form, token: str, keyring: Keyring) -> str:
    """The text of a form in the link of a token, signed with the first key.

    Raises:
        ValueError: it is out of bounds; the sentence says what to change.
    """
    check_form(form)
    content, key_id = msgspec.json.encode(form).decode(), keyring.key_ids[0]
    tag = _tag(keyring, key_id, token, content)  # never None: the first key of a keyring is in it
    text = f"{_base64(content.encode())}.{key_id}.{tag}"
    if len(text) > MAX_FORM_BYTES:
        raise ValueError(f"question and choices make a link of {len(text)} bytes, at most {MAX_FORM_BYTES} fit in one")
    return text


def read_form(text: str, token: str, keyring: Keyring) -> Form | None:
    """The form in the link of a token; None if it is forged, altered, of another token, or of an unknown key."""
    content, _, rest = text.partition(".")
    key_id, _, tag = rest.partition(".")
    if len(text) > MAX_FORM_BYTES or not text.isascii():
        return None
    try:
        plain = base64.urlsafe_b64decode(content + "=" * (-len(content) % 4)).decode()
    except (binascii.Error, UnicodeDecodeError):
        return None
    wanted = _tag(keyring, key_id, token, plain)
    if wanted is None or not hmac.compare_digest(wanted.encode(), tag.encode()):
        return None
    try:
        return _FORM.decode(plain)
    except msgspec.DecodeError:  # of a later version
        return None


def _tag(keyring: Keyring, key_id: str, token: str, content: str) -> str | None:
    digest = keyring.derive(key_id, f"{_CONTEXT}\n{token}\n{content}")
    return None if digest is None else _base64(digest)


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")
