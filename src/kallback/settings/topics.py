"""The names of kallback's own topics."""

from __future__ import annotations

from dataclasses import dataclass

from kallback.protocol.errors import ConfigurationError

_LEGAL = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")
_LONGEST = 249


@dataclass(frozen=True, slots=True)
class Topics:
    """Names of the topics that sdk, workers and bridge share; one prefix per environment.

    Attributes:
        prefix: put before every name that is not given; default `kallback.`.
        results: results of workers, read by the bridge; default `{prefix}results`.
        progress: started signals and heartbeats; default `{prefix}progress`.
        control: cancels, read by every worker; default `{prefix}control`.
        outcomes: what became of each result record; default `{prefix}outcomes`.
        dead_letters: records that can never succeed; default `{prefix}dead-letters`.
    """

    prefix: str = "kallback."
    results: str = ""
    progress: str = ""
    control: str = ""
    outcomes: str = ""
    dead_letters: str = ""

    def __post_init__(self) -> None:
        """Fill in the names that were not given; refuse what Kafka would refuse."""
        for name in ("results", "progress", "control", "outcomes", "dead_letters"):
            topic: str = getattr(self, name) or self.prefix + name.replace("_", "-")
            if len(topic) > _LONGEST or not _LEGAL.issuperset(topic):
                raise ConfigurationError(
                    f"{topic!r} is no topic name: at most {_LONGEST} letters, digits, dots, underscores and "
                    f"hyphens; change KALLBACK_TOPICS_PREFIX or KALLBACK_TOPICS_{name.upper()}"
                )
            object.__setattr__(self, name, topic)
        if len(set(self.all())) != len(self.all()):
            raise ConfigurationError(
                f"two of kallback's topics have the same name ({', '.join(self.all())}): give each its own"
            )

    def all(self) -> tuple[str, ...]:
        """Every name, results first."""
        return (self.results, self.progress, self.control, self.outcomes, self.dead_letters)
