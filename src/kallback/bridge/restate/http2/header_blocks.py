"""Header blocks without a dynamic table: those of requests are mostly constant, those of answers are cached. Pure.

A request's block uses the static table and literals only (RFC 7541, section 6.2.2), so it depends on nothing that was
sent before. `SETTINGS_HEADER_TABLE_SIZE` of 0 asks the same of the server: then equal bytes mean equal headers, and a
dictionary saves decoding them again. The `hpack` library decodes what is new.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import hpack

from kallback.bridge.restate.http2.frames import Code, ViolationError

HEADERS_SIZE: Final = 65_536
"""The most that one answer's headers may take, encoded or not, as with HTTP/1.1."""
NO_TABLE: Final = b"\x20"
"""At the beginning of a block: the encoder's dynamic table has the size 0."""
_CACHED: Final = 64
_CACHED_SIZE: Final = 1024
_STATUS_SIZE: Final = 3
_METHODS: Final = {"GET": b"\x82", "POST": b"\x83", "PATCH": b"\x02\x05PATCH"}
_SCHEMES: Final = {False: b"\x86", True: b"\x87"}
_AUTHORITY: Final = 1
_PATH: Final = b"\x04"
_STATIC: Final = {"accept": 19, "authorization": 23, "content-length": 28, "content-type": 31, "user-agent": 58}
_LENGTH: Final = b"\x0f\x0d"
_SECRET: Final = frozenset({"authorization"})


class AnswerHead(NamedTuple):
    """What counts of an answer's headers; the status is 0 where they are no answer."""

    status: int
    retry_after: str | None


class AnswerHeads:
    """Reads the header blocks of answers."""

    def __init__(self) -> None:
        self._decoder = hpack.Decoder(max_header_list_size=HEADERS_SIZE)
        self._decoder.header_table_size = self._decoder.max_allowed_table_size = 0
        self._known: dict[bytes, AnswerHead] = {}

    def read(self, block: bytes) -> AnswerHead:
        """Return what a block says.

        Raises:
            ViolationError: it cannot be decoded, or is too large.
        """
        known = self._known.get(block)
        if known is not None:
            return known
        head = self._decoded(block)
        if len(block) <= _CACHED_SIZE:
            if len(self._known) >= _CACHED:  # the date in it changes every second
                self._known.clear()
            self._known[block] = head
        return head

    def _decoded(self, block: bytes) -> AnswerHead:
        try:
            headers = list(self._decoder.decode(block, raw=True))
        except hpack.OversizedHeaderListError as error:
            raise ViolationError(Code.ENHANCE_YOUR_CALM, "its answer's head is too large") from error
        except (hpack.HPACKError, IndexError, ValueError) as error:
            raise ViolationError(Code.COMPRESSION_ERROR, "its headers cannot be decoded") from error
        statuses = [value for name, value in headers if name[:1] == b":"]
        usable = len(statuses) == 1 and headers[0][0] == b":status" and _is_status(statuses[0])
        after = [value for name, value in headers if name == b"retry-after"]
        return AnswerHead(int(statuses[0]) if usable else 0, after[-1].decode("ascii", "replace") if after else None)


def _is_status(value: bytes) -> bool:
    return len(value) == _STATUS_SIZE and value.isdigit() and value >= b"100"


class RequestHeads:
    """Writes the header blocks of requests to one origin.

    Args:
        authority: host and port.
        secure: https.
    """

    def __init__(self, authority: str, *, secure: bool) -> None:
        self._first = {
            method: code + _SCHEMES[secure] + _literal("", authority, _AUTHORITY) for method, code in _METHODS.items()
        }
        self._known: dict[tuple[tuple[str, str], ...], bytes] = {}

    def write(self, method: str, path: str, headers: tuple[tuple[str, str], ...], size: int | None) -> bytes:
        """Return a block; `size` is the body's, None without one."""
        last = self._known.get(headers)
        if last is None:
            last = b"".join(_literal(*each) for each in headers)
            if len(self._known) >= _CACHED:
                self._known.clear()
            self._known[headers] = last
        where = path.encode()
        block = b"%b%b%b%b%b" % (self._first[method], _PATH, _length(len(where)), where, last)
        if size is None:
            return block
        digits = b"%d" % size
        return block + _LENGTH + bytes((len(digits),)) + digits


def _length(size: int) -> bytes:
    return bytes((size,)) if size < 127 else _integer(size, 0, 7)  # noqa: PLR2004 - what fits in the prefix


def _literal(name: str, value: str, index: int = 0) -> bytes:
    """Return a header that is in no table; one with a secret must never be put into one."""
    kind = 0x10 if name in _SECRET else 0x00
    index = index or _STATIC.get(name, 0)
    text = value.encode()
    first = _integer(index, kind, 4) if index else bytes((kind,)) + _integer(len(name), 0, 7) + name.encode()
    return first + _integer(len(text), 0, 7) + text


def _integer(value: int, kind: int, bits: int) -> bytes:
    """Return an integer with a prefix of some bits (RFC 7541, section 5.1)."""
    most = (1 << bits) - 1
    if value < most:
        return bytes((kind | value,))
    found, value = bytearray((kind | most,)), value - most
    while value >= 0x80:  # noqa: PLR2004 - seven bits in each byte
        found.append(value & 0x7F | 0x80)
        value >>= 7
    found.append(value)
    return bytes(found)
