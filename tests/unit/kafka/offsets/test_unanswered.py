"""When silence of Kafka is an outage."""

from __future__ import annotations

import pytest

from kallback.kafka import ConsumerOptions, GroupStatus
from kallback.kafka.offsets.followed_topics import FollowedTopics
from kallback.kafka.offsets.read_positions import ReadPositions
from kallback.kafka.offsets.record_buffer import RecordBuffer
from kallback.kafka.offsets.topic_changes import TopicFacts
from kallback.kafka.offsets.unanswered import Unanswered
from kallback.testing.log_capture import capture_logs


class Silence:
    """Questions at times of the test's clock."""

    def __init__(self) -> None:
        self.now = 0.0
        self.unanswered = Unanswered(lambda: self.now)

    def ask(self, at: float, *, answered: bool = False) -> float:
        """Ask at a time; return the seconds of silence."""
        self.now = at
        if answered:
            self.unanswered.answered()
        else:
            self.unanswered.failed()
        return self.unanswered.seconds


def test_silence_counts_from_the_first_question_without_an_answer() -> None:
    """An answer ends it, and the next silence begins anew."""
    silence = Silence()
    assert [silence.ask(5.0), silence.ask(16.0), silence.ask(20.0, answered=True), silence.ask(30.0)] == [0, 11, 0, 0]


def test_an_outage_is_two_log_lines() -> None:
    """One when the silence is long enough, one when it ends; none for a single question that was lost."""
    silence = Silence()
    with capture_logs() as lines:
        silence.ask(0.0)
        silence.ask(5.0, answered=True)
        for at in (10.0, 25.0, 40.0):
            silence.ask(at)
        silence.ask(55.0, answered=True)
    assert [(line["log_level"], line["seconds"]) for line in lines] == [("error", 15), ("info", 45)]


@pytest.mark.parametrize(
    ("facts", "seconds"),
    [(TopicFacts({}, {}), 12.0), (TopicFacts({"t": None}, {}), 0.0), (TopicFacts({}, {}, denied=["t"]), 0.0)],
    ids=["silence", "missing", "denied"],
)
def test_an_answer_that_names_no_topic_is_none(facts: TopicFacts, seconds: float) -> None:
    """That a topic does not exist, or may not be described, is an answer."""
    now = 0.0
    positions = ReadPositions(RecordBuffer(ConsumerOptions(), lambda: None))
    topics = FollowedTopics(["t"], positions, lambda: now)
    topics.take(facts)
    now = 12.0
    assert topics.unanswered.seconds == seconds


def test_a_probe_names_kafka_first() -> None:
    """What does not answer explains what else is wrong."""
    silent = GroupStatus(
        joined=True, rebalances=1, last_poll=0.0, partitions={}, missing_topics=frozenset({"t"}), unanswered=12.0
    )
    assert "Kafka has not answered for 12 s" in (silent.stall_reason() or "")


def test_a_known_cause_takes_the_place_of_advice() -> None:
    """Without an access token the brokers are not asked, and looking at them is in vain."""
    now, cause = 0.0, "no access token for Kafka: the token endpoint does not answer: start it"
    positions = ReadPositions(RecordBuffer(ConsumerOptions(), lambda: None))
    topics = FollowedTopics(["t"], positions, lambda: now, lambda: cause)
    assert topics.unanswered.cause == ""
    topics.take(TopicFacts({}, {}))
    now = 12.0
    status = topics.status(GroupStatus(joined=True, rebalances=1, last_poll=0.0, partitions={}), {})
    assert status.stall_reason() == f"Kafka has not answered for 12 s: {cause}"
