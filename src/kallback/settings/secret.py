"""Text that must not be seen by accident."""

from __future__ import annotations

import hmac
from collections.abc import Iterator, Mapping
from typing import final


class Secret:
    """Wraps a password or token: its text is handed out by `reveal` only.

    Not a `str`, so that formatting, joining, logging and serializing it cannot leak the text.
    """

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """Return the text; call it where the text is handed to a client, nowhere else."""
        return self._text

    def __repr__(self) -> str:
        return "Secret('***')"

    def __str__(self) -> str:
        return "***"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return hmac.compare_digest(self._text.encode(), other._text.encode())

    def __hash__(self) -> int:
        return hash(self._text)

    def __bool__(self) -> bool:
        return bool(self._text)

    def __reduce__(self) -> str:
        raise TypeError("a Secret is not pickled; hand it over through the environment")


@final
class HiddenValues(Mapping[str, str]):
    """Options of which some are secrets: it reads like any mapping, and its `repr` shows the names only."""

    __slots__ = ("_values",)

    def __init__(self, values: Mapping[str, str]) -> None:
        self._values = dict(values)

    def __getitem__(self, name: str) -> str:
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        return f"HiddenValues({dict.fromkeys(self._values, '***')})"
