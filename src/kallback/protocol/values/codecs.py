"""Typed JSON: the user's types to bytes and back, and the check that bytes are JSON at all.

msgspec converts dataclasses, `msgspec.Struct`, `TypedDict`, attrs classes and the plain JSON types; a pydantic
model, alone or inside another type, is handed to pydantic, which the user then has. orjson judges whether bytes
are JSON, because msgspec lets broken UTF-8 through where it does not look (`msgspec.Raw`).
"""

from __future__ import annotations

import gc
import json
from collections.abc import Callable
from types import NoneType
from typing import Any, Final, Generic, TypeVar, cast

import msgspec
import orjson

from kallback.protocol.errors import DecodeError, EncodeError
from kallback.protocol.values.declared_types import is_typed_dict, name_of, refuse_unreadable
from kallback.protocol.values.nesting import is_nested_deeper
from kallback.protocol.values.not_finite import find_not_finite
from kallback.protocol.values.places import place_of
from kallback.protocol.values.pydantic_models import PydanticModel, holds_masked_secret, is_model, model_of
from kallback.protocol.values.recursion import with_room

T = TypeVar("T")

MAX_NESTING: Final = 500
"""How deep JSON may be nested: what the bridge lets through, each reader can read, whatever its interpreter allows."""

_LARGE_BYTES: Final = 65_536
_TOO_DEEP: Final = f"JSON nested deeper than {MAX_NESTING}: send it flatter, or as a text"
_EXACT: Final[dict[type, Callable[[Any], object]]] = {str: str.__str__, int: int.__int__, float: float.__float__}
"""From a value of a subclass to one of the class itself, past methods that the subclass overrides."""
_ASTERISKS: Final = b'"**********"'
"""What pydantic writes in place of a secret."""


def check_json(data: bytes) -> bytes:
    """The same bytes, proven to be one JSON value that every reader of ours can read.

    Raises:
        DecodeError: not JSON (RFC 8259), broken UTF-8, a number beyond a double, or nested deeper than
            `MAX_NESTING`.
    """
    try:
        _parse(data)
    except orjson.JSONDecodeError as error:
        if "limit" in error.msg.lower():  # orjson's own, of 1,024 levels: "depth limit", formerly "Recursion limit"
            raise DecodeError(_TOO_DEEP) from None
        raise DecodeError(f"not JSON: {error.msg} at character {error.pos}") from None
    if is_nested_deeper(data, MAX_NESTING):
        raise DecodeError(_TOO_DEEP)
    return data


def _parse(data: bytes) -> None:
    """Parse and drop; without garbage collections, which would look through a large value again and again."""
    if len(data) < _LARGE_BYTES or not gc.isenabled():
        orjson.loads(data)
        return
    gc.disable()
    try:
        orjson.loads(data)
    finally:
        gc.enable()


def parse_object(data: bytes) -> dict[str, Any]:
    """A JSON object as a dict, with integers of any length.

    Raises:
        DecodeError: not JSON, or not an object.
    """
    check_json(data)
    try:
        return with_room(lambda: msgspec.json.decode(data, type=dict[str, Any]))
    except (msgspec.DecodeError, RecursionError) as error:
        raise DecodeError(f"not a JSON object that can be read: {error}") from None


class Codec(Generic[T]):
    """Converts between values of one declared type and JSON bytes.

    Raises:
        TypeError: at construction, when msgspec cannot handle the type; says which part.
        NameError: at construction, when an annotation names something that does not exist.
    """

    __slots__ = ("_decoder", "_model", "_type")

    def __init__(self, declared: type[T]) -> None:
        self._type: Final = declared
        self._model: Final = model_of(declared)
        # `object` means any JSON, as with `Any`; msgspec would ask for a hook.
        known: Any = Any if declared is object else declared
        refuse_unreadable(known)
        self._decoder: Final = msgspec.json.Decoder[T](known, dec_hook=_to_custom)

    def encode(self, value: T) -> bytes:
        """JSON bytes of a value, which the other side can read as the same type.

        Subclasses of `str`, `int` and `float`, such as the safe strings of template engines, travel as what they are.

        Raises:
            EncodeError: the value, or a member of it, is not of the declared type, or JSON cannot carry it (NaN,
                infinities, numbers beyond a double, nesting beyond `MAX_NESTING`); names the member.
        """
        if not _fits(value, self._type):
            raise EncodeError(
                f"expected {name_of(self._type)}, got {type(value).__name__}: pass a value of the declared type"
            )
        try:
            data = with_room(lambda: _serialize(value))
        except RecursionError as error:
            raise EncodeError(f"cannot encode {name_of(self._type)} as JSON: {_TOO_DEEP}") from error
        except BaseException as error:  # the value's own code runs here and may raise anything, or panic
            place = place_of(value, _can_be_written)
            raise EncodeError(
                f"cannot encode {name_of(self._type)} as JSON: {_sentence(error)} - at `{place}`"
            ) from error
        self._check_readable(value, data)
        return data

    def _check_readable(self, value: T, data: bytes) -> None:
        """Find at the side that made a value what would only fail at the side that waits for it."""
        try:
            check_json(data)
            not_finite = with_room(lambda: find_not_finite(value, _from_custom)) if b"null" in data else None
            if not_finite is None:
                self.decode(data)
        except BaseException as error:  # the value's own code runs here, too
            raise EncodeError(f"the value cannot be read back: {_sentence(error)}") from error
        if _ASTERISKS in data and holds_masked_secret(value):
            raise EncodeError("pydantic writes a secret in it as asterisks: send its `get_secret_value()`")
        if not_finite is not None:
            raise EncodeError(f"NaN and infinity have no JSON form: send None or a text - at `{not_finite}`")

    def decode(self, data: bytes) -> T:
        """The value in JSON bytes.

        Raises:
            DecodeError: whatever goes wrong, the user's validators included; names the member that does not fit. Also
                for JSON nested deeper than `MAX_NESTING`.
        """
        if is_nested_deeper(data, MAX_NESTING):
            check_json(data)  # says whether it is too deep or no JSON
        try:
            return with_room(lambda: self._read(data))
        except BaseException as error:  # validators and __post_init__ of the user's types may raise anything, or panic
            raise DecodeError(f"does not fit {name_of(self._type)}: {_sentence(error)}") from error

    def _read(self, data: bytes) -> T:
        if self._model is not None:
            return cast("T", self._model.model_validate_json(data))
        decoded: T = self._decoder.decode(data)
        return decoded


def _serialize(value: object) -> bytes:
    if is_model(value):
        return value.model_dump_json(by_alias=True).encode()
    return msgspec.json.encode(value, enc_hook=_from_custom)


def _can_be_written(value: object) -> bool:
    try:
        _serialize(value)
    except BaseException:  # noqa: BLE001 - the value's own code runs here and may raise anything, or panic
        return False
    return True


def _fits(value: object, declared: Any) -> bool:
    """Whether a value may be of the declared type, as far as one look tells; type checkers see the rest."""
    if declared is None or declared is NoneType:
        return value is None
    if is_typed_dict(declared):
        return isinstance(value, dict)
    if declared is Any or not isinstance(declared, type) or hasattr(declared, "__origin__"):
        return True
    return isinstance(value, (int, float) if declared is float else declared)


def _to_custom(declared: type, parsed: Any) -> Any:
    """A type that msgspec does not know: a pydantic model inside another type."""
    if issubclass(declared, PydanticModel):
        return declared.model_validate_json(json.dumps(parsed))
    raise NotImplementedError(f"{name_of(declared)} has no JSON form that msgspec or pydantic knows")


def _from_custom(value: Any) -> Any:
    """What msgspec does not know: a pydantic model inside another type, and subclasses of scalar types."""
    if is_model(value):
        return msgspec.Raw(value.model_dump_json(by_alias=True).encode())
    for scalar, exact in _EXACT.items():
        if isinstance(value, scalar):
            return exact(value)
    raise NotImplementedError(f"{type(value).__name__} has no JSON form that msgspec or pydantic knows")


def _sentence(error: BaseException) -> str:
    """Say what the user's code raised. Ctrl-C is not its own, and goes on."""
    if isinstance(error, KeyboardInterrupt):
        raise error
    try:
        text = " ".join(str(error).split())
    except BaseException:  # noqa: BLE001 - an exception class of the user may fail at its own text, or panic
        text = ""
    return text or type(error).__name__
