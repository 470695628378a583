"""Options in a file, as a JSON object: a running process uses what the file holds now."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from kallback.settings.secret import HiddenValues

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kallback.settings.files.followed import Followed


class FollowedValues(HiddenValues):
    """The options of a file. Any thread may ask."""

    __slots__ = ("_followed",)

    def __init__(self, followed: Followed[Mapping[str, str]]) -> None:
        super().__init__({})
        self._followed: Final = followed

    def now(self) -> Mapping[str, str]:
        """The options that the file had a second ago, or now."""
        return self._followed.now()

    @property
    def source(self) -> object:
        """The file: what it holds changes."""
        return self._followed.source
