"""What pages lead to, kept on the server for a while: lists that an operator confirms, and answers to forms.

What is confirmed is the list that the operator saw, so that nothing which arrived later is among it, and it is used
once. The answer to a form is a page with an address: the browser is sent there, and a reload or a step back sends
nothing.

Ownership: the event loop of the console. Nothing is kept over a restart.
"""

from __future__ import annotations

import secrets
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Final, Generic, TypeVar

from kallback.operations import NotAnswerableError

Item = TypeVar("Item")


def new_name() -> str:
    """Return a name for what is kept, which cannot be guessed."""
    return secrets.token_urlsafe(16)


class KeptItems(Generic[Item]):
    """Items by their names; the oldest ones are forgotten first.

    Args:
        most: items at most.
        most_parts: parts of all items at most.
        parts: how many parts an item has.
    """

    def __init__(self, most: int, most_parts: int | None = None, parts: Callable[[Item], int] = lambda _: 1) -> None:
        self._most: Final = most
        self._most_parts: Final = most if most_parts is None else most_parts
        self._parts: Final = parts
        self._items: Final = dict[str, Item]()

    def keep(self, name: str, item: Item) -> None:
        """Keep an item."""
        self._items[name] = item
        while len(self._items) > self._most or sum(map(self._parts, self._items.values())) > self._most_parts:
            del self._items[next(iter(self._items))]

    def find(self, name: str) -> Item | None:
        """Return an item; None if it is not kept, or not any more."""
        return self._items.get(name)

    def remove(self, name: str) -> None:
        """Forget an item, if it is kept."""
        self._items.pop(name, None)


class ConfirmedOnce(Generic[Item]):
    """Lists that operators confirm: each is used once, and one at a time.

    Args:
        kept: where they are until then.
        change: what is done with them, for people.
        again: where to get a new list, for people.
    """

    def __init__(self, kept: KeptItems[Item], change: str, again: str) -> None:
        self._kept: Final = kept
        self._change: Final = change
        self._again: Final = again
        self._running: str | None = None

    def keep(self, name: str, item: Item) -> None:
        """Keep a list until it is used."""
        self._kept.keep(name, item)

    def find(self, name: str) -> Item | None:
        """Return a list that was not used yet; None if there is none with this name."""
        return self._kept.find(name)

    def is_running(self, name: str) -> bool:
        """Return whether a list is in use."""
        return self._running == name

    def require(self, name: str) -> Item:
        """Return a list that was not used yet.

        Raises:
            NotAnswerableError: it was used, it is too old, or another one is in use.
        """
        if self.is_running(name):
            raise NotAnswerableError("this is being sent: wait until it has ended, and reload this page")
        if (item := self._kept.find(name)) is None:
            raise NotAnswerableError(
                f"this was sent before, or the list is too old: nothing was sent now; {self._again}"
            )
        if self._running is not None:
            raise NotAnswerableError(f"another {self._change} is running: wait until it has ended, and send again")
        return item

    @asynccontextmanager
    async def using(self, name: str) -> AsyncGenerator[Item]:
        """Use a list; raises as `require`."""
        item = self.require(name)
        self._kept.remove(name)
        self._running = name
        try:
            yield item
        finally:
            self._running = None
