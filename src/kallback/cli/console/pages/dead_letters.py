"""Dead letters: the list, and one of them."""

from __future__ import annotations

from typing import Final

from kallback.cli.console.pages.forms import replay_form, replay_one_form
from kallback.cli.console.pages.layout import facts, page, table
from kallback.cli.console.pages.markup import Content, Markup, element, joined
from kallback.cli.console.pages.values import REFRESH_S, place, record_parts
from kallback.cli.console.sources import LAST_LETTERS, LastLetters
from kallback.cli.dead_letters.contents import Replay
from kallback.cli.dead_letters.reason_help import REASON_HELP, entry_of
from kallback.cli.dead_letters.rows import replay_words, task_type_of
from kallback.cli.formatting import moment, size, within
from kallback.durations import span
from kallback.kafka import DeadLetter, Record
from kallback.web import HttpResponse

_REPLAYS: Final = element(
    "p",
    f"A replay is shown if its marker is among the last {LAST_LETTERS} records of a partition of the topic; ",
    element("code", "kallback dead-letters list --replayed"),
    " reads all of them.",
)
_LONGEST_CELL: Final = 120
_LONGEST_VALUE: Final = 2_000
"""Anyone who may write dead letters chooses reason, detail and group."""


def _not_seen(letter: DeadLetter) -> Markup:
    said = f"not seen among the last {LAST_LETTERS} records of each partition; "
    return joined((said, element("code", f"kallback dead-letters show {letter.id}"), " reads all"))


def _short(replay: Replay | None) -> str:
    if replay is None:
        return "-"
    return moment(replay.at_ms) if replay.operator is None else f"{moment(replay.at_ms)} by {replay.operator.by}"


def dead_letters_page(last: LastLetters, now_ms: int, secret: str | None = None) -> HttpResponse:
    """Return the last dead letters; with a secret, also the form that replays them."""
    return page(
        "Dead letters",
        letters_table(f"The last {LAST_LETTERS} dead letters at most, the newest first", last, now_ms),
        _REPLAYS if last.letters else None,
        *([] if secret is None else [element("h2", "Replay"), replay_form(secret)]),
        section="/dead-letters",
        refresh=REFRESH_S,
    )


def letters_table(caption: str, last: LastLetters, now_ms: int) -> Markup:
    """Return dead letters as a table."""
    rows: list[list[Content]] = [
        [
            element("a", str(letter.id), href=f"/dead-letters/{letter.id}"),
            within(letter.reason, _LONGEST_CELL),
            task_type_of(letter) or "-",
            place(letter.source),
            span(now_ms - letter.written_ms),
            within(_short(last.replays.get(letter.id)), _LONGEST_CELL),
            f"{letter.count:,}",
        ]
        for letter in last.letters
    ]
    headings = ["Dead letter", "Reason", "Type", "Source", "Age", "Replayed", "Records"]
    return table(caption, headings, rows, numbers=1)


def dead_letter_page(
    letter: DeadLetter, replay: Replay | None = None, secret: str | None = None, *, mask: bool
) -> HttpResponse:
    """Return one dead letter; with a secret, also the form that replays it."""
    help_, reason = REASON_HELP.get(letter.reason), within(letter.reason, _LONGEST_VALUE)
    record = Record("", 0, 0, letter.source_ms, letter.key, letter.value, letter.headers)
    stub = None if letter.stub_bytes is None else f"not kept: {size(letter.stub_bytes)}"
    return page(
        f"Dead letter {letter.id}",
        facts(
            (
                ("Reason", element("a", reason, href=entry_of(reason))),
                ("Meaning", None if help_ is None else help_.meaning),
                ("What to do", None if help_ is None else help_.remedy),
                ("Detail", within(letter.detail, _LONGEST_VALUE) or None),
                ("Records", f"{letter.count:,}"),
                ("Source", place(letter.source)),
                ("Written", moment(letter.written_ms)),
                ("Dead-lettered by", within(letter.group, _LONGEST_VALUE)),
                ("Value", stub),
                ("Replayed", _not_seen(letter) if replay is None else replay_words(replay)),
            )
        ),
        *record_parts("Record", record, mask=mask),
        *([] if secret is None else [element("h2", "Replay"), replay_one_form(str(letter.id), secret)]),
        section="/dead-letters",
    )
