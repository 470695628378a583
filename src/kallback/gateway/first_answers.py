"""Which button of a form was pressed first, as far as this gateway knows: a second click is told so. Pure.

It decides nothing: the bridge does, by the order of the records, and other gateways may have taken an earlier answer.
Memory is bounded: the forms that were answered last are kept.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

from kallback.protocol.verification import identity_of

_FORMS: Final = 10_000


class FirstAnswers:
    """Labels of answers that Kafka has, by the token of their form.

    Args:
        most: how many are remembered.
    """

    def __init__(self, most: int = _FORMS) -> None:
        self._most: Final = most
        self._labels: Final = OrderedDict[str, str]()

    def of(self, token: str) -> str:
        """Return the label of the first answer; empty if none is known."""
        return self._labels.get(identity_of(token), "")

    def remember(self, token: str, label: str) -> None:
        """Note an answer; only the first one of a token counts."""
        self._labels.setdefault(identity_of(token), label)
        while len(self._labels) > self._most:
            self._labels.popitem(last=False)
