"""Tokens: what a worker echoes, what completes one attempt of one task, and nothing else.

    kb1:<kid>:<type>:<task id>:<attempt>:<awakeable id>:<deadline ms, 0 = none>:<tag>

The tag is the base64url text of the first 16 bytes of HMAC-SHA256(key, everything before the last `:` + newline +
audience). The audience, by default the results topic's name, binds a token to one results topic. The tag's *text*
is compared, in constant time: base64 has aliases, text has none.

A token is a bearer credential: `Token` and `Keyring` hide what must not be logged.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from functools import lru_cache
from typing import Final, NewType, Self

import msgspec

from kallback.protocol.awakeables import AwakeableId, check_shaped
from kallback.protocol.errors import InvalidAwakeableIdError, InvalidKeyError, UnverifiedError
from kallback.protocol.outcomes import Unverified

TaskId = NewType("TaskId", str)
"""16 characters, base64url of 12 random bytes: stable over attempts, so it is the worker's idempotency key."""

Attempt = NewType("Attempt", int)
"""Counts the dispatches of one task, from 1."""

_TASK_ID: Final = re.compile(r"[A-Za-z0-9_-]{16}", re.ASCII)
FIRST_ATTEMPT: Final = Attempt(1)

PREFIX: Final = "kb1:"
MAX_TOKEN_BYTES: Final = 512
MIN_KEY_BYTES: Final = 32
TASK_ID_BYTES: Final = 12
TASK_ID_CHARACTERS: Final = 16
"""Base64url characters of those bytes. A longer id is invalid, and is refused before it is stored."""
NO_DEADLINE: Final = 0

INSECURE_KEY_ID: Final = "dev"
_INSECURE_KEY: Final = b"kallback-insecure-published-development-key"

PARTS: Final = {
    "kid": r"[A-Za-z0-9_-]{1,16}",
    "type": r"[A-Za-z0-9._-]{1,128}",
    "task": r"[A-Za-z0-9_-]{16}",
    "attempt": r"[1-9][0-9]{0,5}",
    "awakeable": r"sign_1[A-Za-z0-9_-]{38}",
    "deadline": r"0|[1-9][0-9]{0,14}",
    "tag": r"[A-Za-z0-9_-]{22}",
}
"""What may stand between the colons, after `kb1`, in this order."""
_TAG_BYTES: Final = 16
_TAG_CHARACTERS: Final = 22
_URL_SAFE: Final = bytes.maketrans(b"+/", b"-_")
_BLOCK_BYTES: Final = 64
"""Of SHA-256, to which HMAC pads a key."""
_INNER_PAD: Final = bytes(byte ^ 0x36 for byte in range(256))
_OUTER_PAD: Final = bytes(byte ^ 0x5C for byte in range(256))
_SHAPE: Final = re.compile(":".join(("kb1", *(f"(?P<{name}>{part})" for name, part in PARTS.items()))), re.ASCII)
_KEY_ENTRY: Final = re.compile(rf"({PARTS['kid']}):([A-Za-z0-9+/_-]+={{0,2}})", re.ASCII)
_KEYS_HELP: Final = (
    'expected KALLBACK_KEYS="<id>:<base64 of at least 32 random bytes>[,<older id>:<base64>...]"; '
    "make one with: echo k1:$(openssl rand -base64 32)"
)


def task_id_of(random_bytes: bytes) -> TaskId:
    """The task id for 12 random bytes; the caller that draws them must journal them.

    It never begins with a dash, so that command lines do not take it for an option.
    """
    if len(random_bytes) != TASK_ID_BYTES:
        raise ValueError(f"a task id is made of {TASK_ID_BYTES} random bytes, not {len(random_bytes)}")
    text = base64.urlsafe_b64encode(random_bytes).decode()
    return TaskId(f"e{text[1:]}" if text.startswith("-") else text)


def is_task_id(text: str) -> bool:
    """Whether a text has the form of a task id."""
    return _TASK_ID.fullmatch(text) is not None


class Token(msgspec.Struct, frozen=True, gc=False):
    """What a verified token says: which attempt of which task it completes, and until when.

    Attributes:
        task_type: name of the task type.
        deadline_ms: epoch milliseconds; 0 means that the caller set none.
    """

    task_type: str
    task_id: TaskId
    attempt: Attempt
    awakeable_id: AwakeableId
    deadline_ms: int = NO_DEADLINE

    def __repr__(self) -> str:
        return f"Token({self.task_type} {self.task_id} attempt {self.attempt})"


class BareAwakeable(msgspec.Struct, frozen=True, gc=False):
    """A bare awakeable id that the operator allows in place of a token: no deadline, no fencing, no proof.

    Where it is allowed, everyone who knows the id can complete it: hidden in repr, like a token.
    """

    awakeable_id: AwakeableId

    def __repr__(self) -> str:
        return "BareAwakeable()"


class UnverifiedToken(msgspec.Struct, frozen=True, gc=False):
    """Why a text proves nothing; a value, because a flood of forged tokens must be cheap to refuse.

    Attributes:
        reason: `malformed-token`, `unknown-key`, `wrong-tag`, `reserved-signal` or `invalid-awakeable-id`.
        detail: a sentence, without the token.
    """

    reason: Unverified
    detail: str


class _Mac:
    """HMAC-SHA256 with one key (RFC 2104): its two hashes are begun once and copied for each text.

    Taking in the key is half the cost of a MAC, and copying an `hmac` object costs twice as much as copying two hashes.
    """

    __slots__ = ("_inner", "_outer")

    def __init__(self, key: bytes) -> None:
        block = (key if len(key) <= _BLOCK_BYTES else hashlib.sha256(key).digest()).ljust(_BLOCK_BYTES, b"\0")
        self._inner = hashlib.sha256(block.translate(_INNER_PAD))
        self._outer = hashlib.sha256(block.translate(_OUTER_PAD))

    def digest(self, text: str) -> bytes:
        """The MAC of a text, 32 bytes."""
        inner = self._inner.copy()
        inner.update(text.encode())
        outer = self._outer.copy()
        outer.update(inner.digest())
        return outer.digest()

    def tag(self, claims: str, audience: str) -> bytes:
        """The tag of a token's claims."""
        digest = self.digest(f"{claims}\n{audience}")
        return binascii.b2a_base64(digest[:_TAG_BYTES]).translate(_URL_SAFE)[:_TAG_CHARACTERS]


class Keyring:
    """Signing keys by id: the first signs, all verify."""

    __slots__ = ("_keys", "_macs", "_signing_id")

    def __init__(self, keys: dict[str, bytes]) -> None:
        if not keys:
            raise InvalidKeyError(f"no signing key: {_KEYS_HELP}")
        for key_id, key in keys.items():
            if len(key) < MIN_KEY_BYTES:
                raise InvalidKeyError(
                    f"signing key {key_id!r} has {len(key)} bytes, at least {MIN_KEY_BYTES} are needed: {_KEYS_HELP}"
                )
        self._keys = dict(keys)
        self._macs = {key_id: _Mac(key) for key_id, key in keys.items()}
        self._signing_id = next(iter(keys))

    @classmethod
    def parse(cls, text: str, *, insecure: bool = False) -> Self:
        """Read `KALLBACK_KEYS`; with `insecure`, the published development key verifies too, and signs if alone.

        Raises:
            InvalidKeyError: no key, an unreadable or short one, an id used twice, or the reserved id `dev`.
        """
        keys: dict[str, bytes] = {}
        for position, entry in enumerate((part.strip() for part in text.split(",") if part.strip()), start=1):
            key_id, key = _parse_key(entry, position)
            if key_id in keys:
                raise InvalidKeyError(f"signing key id {key_id!r} stands twice: give each key its own id")
            keys[key_id] = key
        if insecure:
            keys[INSECURE_KEY_ID] = _INSECURE_KEY
        return cls(keys)

    @classmethod
    def insecure(cls) -> Self:
        """The published development key alone: anyone can forge tokens. For trying things on one machine."""
        return cls({INSECURE_KEY_ID: _INSECURE_KEY})

    @property
    def key_ids(self) -> tuple[str, ...]:
        """The ids, the signing one first."""
        return tuple(self._keys)

    def each(self) -> tuple[Keyring, ...]:
        """A keyring of each key alone, the signing one first."""
        return tuple(Keyring({key_id: key}) for key_id, key in self._keys.items())

    def sign(self, token: Token, audience: str) -> str:
        """The token's text, signed with the first key for one audience (the results topic's name, by default)."""
        claims = (
            f"kb1:{self._signing_id}:{token.task_type}:{token.task_id}:{token.attempt}"
            f":{token.awakeable_id}:{token.deadline_ms}"
        )
        text = f"{claims}:{self._macs[self._signing_id].tag(claims, audience).decode()}"
        if _SHAPE.fullmatch(text) is None:
            raise ValueError(f"a part of {token!r} has characters that no token may have")
        return text

    def verify(self, text: str, audience: str) -> Token:
        """Read a token and prove it.

        Raises:
            UnverifiedError: with reason `malformed-token`, `unknown-key`, `wrong-tag`, `reserved-signal` or
                `invalid-awakeable-id`.
        """
        found = self.check(text, audience)
        if isinstance(found, UnverifiedToken):
            raise UnverifiedError(found.reason, found.detail)
        return found

    def check(self, text: str, audience: str) -> Token | UnverifiedToken:
        """Do so without raising."""
        shape = _SHAPE.fullmatch(text) if len(text) <= MAX_TOKEN_BYTES else None
        if shape is None:
            return _MALFORMED
        key_id, task_type, task, attempt, awakeable, deadline, tag = shape.groups()
        mac = self._macs.get(key_id)
        if mac is None:
            return _unknown_key(key_id)
        if not hmac.compare_digest(mac.tag(text[: -_TAG_CHARACTERS - 1], audience), tag.encode()):
            return _wrong_tag(key_id, audience)
        try:
            awakeable_id = check_shaped(awakeable)
        except InvalidAwakeableIdError as error:
            return UnverifiedToken(Unverified(error.reason), error.detail)
        return Token(task_type, TaskId(task), Attempt(int(attempt)), awakeable_id, int(deadline))

    def derive(self, key_id: str, purpose: str) -> bytes | None:
        """32 bytes for another purpose than tokens: HMAC-SHA256 of a text that names it; None for an unknown key.

        Raises:
            ValueError: the purpose begins with `kb1:`, as the claims of tokens do.
        """
        if purpose.startswith(PREFIX):
            raise ValueError(f"the purpose begins with {PREFIX}: what is derived would be the tag of a token")
        mac = self._macs.get(key_id)
        return None if mac is None else mac.digest(purpose)

    def __repr__(self) -> str:
        return f"Keyring({', '.join(self._keys)})"


def shorten(text: str) -> str:
    """A token as it may be logged: without the awakeable id and the tag.

    Anything that is not shaped like a token becomes its length only, for it may be a secret of someone else's.
    """
    shape = _SHAPE.fullmatch(text)
    if shape is None:
        return f"<{len(text)} characters>"
    return f"kb1:{shape['kid']}:{shape['type']}:{shape['task']}:{shape['attempt']}:…"


@lru_cache(maxsize=256)
def _wrong_tag(key_id: str, audience: str) -> UnverifiedToken:
    return UnverifiedToken(
        Unverified.WRONG_TAG,
        f"the token's tag does not fit key {key_id!r} and audience {audience!r}: forged, altered, "
        "or made for another results topic",
    )


@lru_cache(maxsize=256)
def _unknown_key(key_id: str) -> UnverifiedToken:
    detail = f"signing key {key_id!r} is not known here: bridges must have a new key before the first token is signed"
    if key_id == INSECURE_KEY_ID:
        detail = "the token is signed with the published key 'dev', which only insecure mode accepts (--insecure)"
    return UnverifiedToken(Unverified.UNKNOWN_KEY, detail)


_MALFORMED: Final = UnverifiedToken(
    Unverified.MALFORMED_TOKEN,
    "the token does not have the shape of one: eight parts between colons, and kb1 is the first",
)


def decode_key(encoded: str) -> bytes:
    """A signing key in base64, standard or URL-safe, with or without padding.

    Raises:
        binascii.Error: not base64.
    """
    bare = encoded.rstrip("=")
    return base64.b64decode(bare + "=" * (-len(bare) % 4), altchars=b"-_")


def _parse_key(entry: str, position: int) -> tuple[str, bytes]:
    shape = _KEY_ENTRY.fullmatch(entry)
    if shape is None:  # the entry itself may be a secret: name its place only
        raise InvalidKeyError(f"signing key number {position} is unreadable: {_KEYS_HELP}")
    key_id, encoded = shape.groups()
    if key_id == INSECURE_KEY_ID:
        raise InvalidKeyError("key id 'dev' is the published key of insecure mode: choose another id")
    try:
        key = decode_key(encoded)
    except binascii.Error:
        raise InvalidKeyError(f"signing key {key_id!r} is not base64: {_KEYS_HELP}") from None
    return key_id, key
