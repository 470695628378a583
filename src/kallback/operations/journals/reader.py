"""Reads the journals of invocations, and keeps what it read for as long as a journal does not grow.

To read a journal costs Restate a third of a millisecond; to read its length costs a hundredth of that. A journal only
grows, so one of the same length says the same: whoever lists the same waiting handlers again and again, as the console
does, has Restate read those journals only that have changed.

Ownership: one reader belongs to one list of pending tasks; two reads at once may both ask for a journal. Memory is
bounded by `_KEPT` things in journals, of those used last.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Final

from kallback.operations.introspection import AnswerCutOffError, AnswerTooLargeError, RowSource
from kallback.operations.journals.entries import HeadRow, StepRow, ValueRow
from kallback.operations.journals.journal import Journal
from kallback.operations.journals.queries import creations_query, heads_query, steps_query, values_query
from kallback.operations.journals.rows import add_creations, journals_of, mark_encoded, silent_creations

_KEPT: Final = 100_000
"""Steps, signals and tasks of journals that are kept: some 30 MB. An invocation that waits for one task has about 3."""


class JournalReader:
    """Reads journals.

    Args:
        introspection: answers the queries.
        kept: steps, signals and tasks of journals that are kept in memory, at most.
    """

    def __init__(self, introspection: RowSource, kept: int = _KEPT) -> None:
        self._introspection: Final = introspection
        self._known: Final = _KnownJournals(kept)

    async def read(self, lengths: Mapping[str, int]) -> dict[str, Journal]:
        """Return journals by the id of the invocation; those that do not concern kallback are empty.

        Args:
            lengths: invocation ids, each with the entries that its journal had at least when it was last looked at.

        Raises:
            KallbackError: as `Introspection.rows`, but for answers that are too large: they are asked for in parts, and
                a single journal that is too large is unreadable.
        """
        found = {invocation: self._known.get(invocation, length) for invocation, length in lengths.items()}
        new = await self._journals([invocation for invocation, journal in found.items() if journal is None])
        for invocation, journal in new.items():
            self._known.keep(journal, lengths[invocation])
        return {invocation: journal or new[invocation] for invocation, journal in found.items()}

    async def _journals(self, ids: Sequence[str]) -> dict[str, Journal]:
        """Read what is needed of these journals, half of them at a time where an answer is too large or cut off."""
        if not ids:
            return {}
        empty = {invocation: Journal(invocation) for invocation in ids}
        try:
            return empty | await self._read(ids)
        except (AnswerTooLargeError, AnswerCutOffError) as error:
            if len(ids) > 1:
                middle = len(ids) // 2
                return await self._journals(ids[:middle]) | await self._journals(ids[middle:])
            if isinstance(error, AnswerCutOffError):
                raise
            return {invocation: Journal(invocation, is_unreadable=True) for invocation in ids}

    async def _read(self, ids: Sequence[str]) -> dict[str, Journal]:
        steps = await self._introspection.rows(steps_query(ids), StepRow)
        found = journals_of(steps)
        missing = [(journal.invocation_id, number) for journal in found.values() for number in journal.without_values]
        paused = [journal.invocation_id for journal in found.values() if journal.has_pauses_without_names]
        if missing or paused:
            values = await self._introspection.rows(values_query(missing), ValueRow) if missing else []
            heads = await self._introspection.rows(heads_query(paused), HeadRow) if paused else []
            found = journals_of(steps, values, heads)
        handed_out = [journal.invocation_id for journal in found.values() if journal.awakeables is not None]
        if handed_out:
            add_creations(found, await self._introspection.rows(creations_query(handed_out), StepRow))
        await self._mark_encoded(found, [each for each in ids if each not in found or found[each].is_silent])
        return found

    async def _mark_encoded(self, found: dict[str, Journal], silent: Sequence[str]) -> None:
        """Look into journals without anything that can be read for awakeables that a codec has encoded."""
        if not silent:
            return
        created = silent_creations(found, await self._introspection.rows(creations_query(silent), StepRow))
        if created:
            mark_encoded(found, await self._introspection.rows(values_query(created), ValueRow))


class _KnownJournals:
    """The journals used last, each with its length when it was read."""

    def __init__(self, most: int) -> None:
        self._most: Final = most
        self._journals: Final = OrderedDict[str, tuple[int, Journal]]()
        self._size = 0

    def get(self, invocation: str, length: int) -> Journal | None:
        """Return the journal if it was read at this length."""
        known = self._journals.get(invocation)
        if known is None or known[0] != length:
            return None
        self._journals.move_to_end(invocation)
        return known[1]

    def keep(self, journal: Journal, length: int) -> None:
        """Keep a journal in place of what was known of it, and forget those that were not used for longest."""
        self._forget(self._journals.pop(journal.invocation_id, None))
        self._journals[journal.invocation_id] = length, journal
        self._size += journal.size
        while self._size > self._most:
            self._forget(self._journals.popitem(last=False)[1])

    def _forget(self, known: tuple[int, Journal] | None) -> None:
        if known is not None:
            self._size -= known[1].size
