"""The names of kallback's own topics."""

from __future__ import annotations

from dataclasses import dataclass

from kallback.protocol.errors import ConfigurationError
from kallback.protocol.tasktypes import is_kafka_name
from kallback.settings.option_types import check_option_types


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
        more_results: further results topics, for task types that have one of their own (`TaskType.results_topic`); read
            by the same bridges. Default none.
        reply_to: further topics that workers may send results and progress to, beside those that begin with the
            prefix; a name that ends in `*` allows all that begin so. Default none.
    """

    prefix: str = "kallback."
    results: str = ""
    progress: str = ""
    control: str = ""
    outcomes: str = ""
    dead_letters: str = ""
    reply_to: frozenset[str] = frozenset()
    more_results: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        """Fill in the names that were not given; refuse what Kafka would refuse."""
        check_option_types(self)
        for name in ("results", "progress", "control", "outcomes", "dead_letters"):
            topic: str = getattr(self, name) or self.prefix + name.replace("_", "-")
            if not is_kafka_name(topic):
                raise ConfigurationError(
                    f"{topic!r} is no topic name: at most 249 letters, digits, dots, underscores and hyphens, "
                    f"not '.' or '..'; change KALLBACK_TOPICS_PREFIX or KALLBACK_TOPICS_{name.upper()}"
                )
            object.__setattr__(self, name, topic)
        for topic in self.more_results:
            if not is_kafka_name(topic):
                raise ConfigurationError(f"{topic!r} is no topic name; change KALLBACK_TOPICS_MORE_RESULTS")
        if len(set(self.all())) != len(self.all()):
            raise ConfigurationError(
                f"two of kallback's topics have the same name ({', '.join(self.all())}): give each its own with "
                "KALLBACK_TOPICS_PREFIX, KALLBACK_TOPICS_RESULTS and so on, KALLBACK_TOPICS_MORE_RESULTS"
            )

        for pattern in self.reply_to:
            if pattern != "*" and not is_kafka_name(pattern.removesuffix("*")):
                raise ConfigurationError(
                    f"{pattern!r} is neither the name of a topic nor the beginning of one with a * behind it; change "
                    "KALLBACK_TOPICS_REPLY_TO"
                )

    def has_prefix(self, topic: str) -> bool:
        """Whether a topic begins with the prefix of this installation; without a prefix none does."""
        return bool(self.prefix) and topic.startswith(self.prefix)

    def why_no_task_topic(self, topic: str) -> str | None:
        """Say why tasks cannot go to a topic; None if they can."""
        if topic not in self.all():
            return None
        return f"tasks cannot go to {topic}, which is a topic of kallback's own: give the task type another one"

    @property
    def wire_check(self) -> str:
        """How the names of the topics begin that `kallback wire check` makes for answers."""
        return f"{self.prefix}wire-check."

    @property
    def all_results(self) -> tuple[str, ...]:
        """The topics that bridges read results from; the one of this installation first."""
        return (self.results, *sorted(self.more_results))

    def all(self) -> tuple[str, ...]:
        """Every name, results first."""
        return (*self.all_results, self.progress, self.control, self.outcomes, self.dead_letters)
