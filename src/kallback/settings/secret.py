"""Text that must not be seen by accident."""

from __future__ import annotations

import hmac
from collections.abc import ItemsView, Iterator, Mapping


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


class HiddenValues(Mapping[str, str]):
    """Options of which some are secrets: it reads like any mapping, and its `repr` shows the names only."""

    __slots__ = ("_values",)

    def __init__(self, values: Mapping[str, str]) -> None:
        self._values = dict(values.items())

    def now(self) -> Mapping[str, str]:
        """The values as they are now; the mapping itself may have others a moment later."""
        return self._values

    @property
    def source(self) -> object:
        """What stays equal while the values come from the same place; hashable."""
        return tuple(sorted(self._values.items()))

    def __getitem__(self, name: str) -> str:
        return self.now()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.now())

    def __len__(self) -> int:
        return len(self.now())

    def items(self) -> ItemsView[str, str]:
        """The options with their values, all of the same moment."""
        return self.now().items()

    def __repr__(self) -> str:
        return f"HiddenValues({dict.fromkeys(self.now(), '***')})"


def hidden(values: Mapping[str, str]) -> HiddenValues:
    """Return options with a `repr` that hides their values; those that hide them already stay what they are."""
    return values if isinstance(values, HiddenValues) else HiddenValues(values)
