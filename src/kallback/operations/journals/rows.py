"""Makes journals of the rows of queries. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

from kallback.operations.journals.awakeables import CREATION, JournaledAwakeables, is_encoded
from kallback.operations.journals.entries import HeadRow, StepRow, ValueRow, decoded_run
from kallback.operations.journals.journal import Journal


def journals_of(
    steps: Sequence[StepRow], values: Sequence[ValueRow] = (), heads: Sequence[HeadRow] = ()
) -> dict[str, Journal]:
    """Return what the rows of `steps_query`, `values_query` and `heads_query` say, by the id of the invocation."""
    found = dict[str, Journal]()
    texts = defaultdict[str, list[str]](list)
    for row in steps:
        journal = found.setdefault(row.id, Journal(row.id))
        if row.entry_json is None:
            journal.add_step(row)
        else:
            texts[row.id].append(row.entry_json)
    for value in values:
        texts[value.id].append(value.entry_json)
    for invocation, journal in found.items():
        journal.add_values(texts[invocation])
    for each in heads:
        found[each.id].add_head(each.head)
    return found


def add_creations(journals: Mapping[str, Journal], rows: Sequence[StepRow]) -> None:
    """Add the rows of `creations_query` to the journals that have awakeables."""
    found = defaultdict[str, list[StepRow]](list)
    for row in rows:
        found[row.id].append(row)
    for invocation, own in found.items():
        awakeables = journals[invocation].awakeables
        if awakeables is not None:
            awakeables.add_creations(own)


def silent_creations(journals: dict[str, Journal], rows: Sequence[StepRow]) -> list[tuple[str, int]]:
    """Take the rows of `creations_query` for silent journals; return the steps whose values tell what they created."""
    creating = {row.id for row in rows if (row.name or "").startswith(CREATION)}
    for invocation in creating:
        journals.setdefault(invocation, Journal(invocation)).awakeables = JournaledAwakeables()
    add_creations(journals, [row for row in rows if row.id in creating])
    found = [(invocation, journals[invocation].awakeables) for invocation in sorted(creating)]
    return [(invocation, each) for invocation, own in found if own is not None for each in own.creations]


def mark_encoded(journals: Mapping[str, Journal], values: Sequence[ValueRow]) -> None:
    """Mark journals that may wait for awakeables of which nothing can be read, by the values of `silent_creations`."""
    encoded = defaultdict[str, list[int]](list)
    for value in values:
        run = decoded_run(value.entry_json)
        if run is not None and is_encoded(run):
            encoded[value.id].append(run.completion_id)
    for invocation, steps in encoded.items():
        journals[invocation].mark_encoded(steps)
