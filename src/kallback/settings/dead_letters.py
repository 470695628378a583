"""How many dead letters of unverified records are written whole."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from kallback.protocol.errors import ConfigurationError
from kallback.settings.option_types import check_option_types

_MIB: Final = 1024 * 1024


@dataclass(frozen=True, slots=True)
class DeadLetterSettings:
    """Limits of dead letters that anyone can cause; records with a verified token are always written whole.

    Attributes:
        per_second: dead letters of one reason that are written whole, a second; ten times as many at once. What comes
            beyond is counted in summaries. Default 100: a wrong key in a busy environment stays visible record by
            record for a while, and a flood of forged records costs little.
        bytes_per_hour: bytes of all of these within any hour. Default 256 MiB. What comes beyond is counted in
            summaries that have no sample.
    """

    per_second: int = 100
    bytes_per_hour: int = 256 * _MIB

    def __post_init__(self) -> None:
        """Refuse limits with which no dead letter could be written."""
        check_option_types(self)
        for name, value in (("PER_SECOND", self.per_second), ("BYTES_PER_HOUR", self.bytes_per_hour)):
            if value < 1:
                raise ConfigurationError(f"KALLBACK_DEAD_LETTERS_{name}={value} cannot work: use at least 1")
