"""Decides whether a dead letter may be replayed, and to where. Pure.

Everything in a dead letter is hostile: anyone who may write to the dead-letter topic chooses the source topic, the
reason, the headers and the value, and a replay writes with the operator's permissions. So a replay goes to topics of
this installation only: its results topic, topics with its prefix, task topics that a valid token names, and topics that
the operator names. It never goes to topics that only kallback itself writes to.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto
from typing import Final, Self

from kallback.kafka import DeadLetter
from kallback.protocol import (
    Cancel,
    InvalidControlError,
    InvalidTaskError,
    Keyring,
    TaskHeaders,
    Token,
    UnverifiedError,
    read_result,
)
from kallback.protocol.tasktypes import is_kafka_name
from kallback.protocol.verification import is_late
from kallback.settings import Settings, Topics

GRACE_MS: Final = 30_000
"""As long after its deadline bridges take a result, unless they are told otherwise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayRules:
    """What a replay may send.

    Attributes:
        topics: the topics of this installation.
        keyring: verifies tokens; None: they are not verified.
        audience: what tokens are bound to.
        to: the topic to send to; None: each dead letter to its source topic.
        named: topics that the operator names as task topics or results topics.
        send_unverified: send what fails a check of its token or its headers.
        now_ms: what deadlines are compared with; 0: they are not.
    """

    topics: Topics
    keyring: Keyring | None = None
    audience: str = ""
    to: str | None = None
    named: frozenset[str] = frozenset()
    send_unverified: bool = False
    now_ms: int = 0

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """What a replay without options may send."""
        keyring = settings.keys.keyring or (Keyring.insecure() if settings.keys.insecure else None)
        return cls(topics=settings.topics, keyring=keyring, audience=settings.keys.audience)

    def never(self) -> frozenset[str]:
        """Topics whose records kallback never dead-letters: what names one as its source is forged.

        A replay to the control topic would cancel tasks with the operator's permissions.
        """
        return frozenset({self.topics.progress, self.topics.control, self.topics.outcomes, self.topics.dead_letters})

    def owns(self, topic: str) -> bool:
        """Whether a topic is one of this installation, or named by the operator."""
        own = topic in self.topics.all_results or topic in self.named or self.topics.has_prefix(topic)
        return own and topic not in self.never()


@dataclass(frozen=True, slots=True)
class MaySend:
    """The dead letter may be sent.

    Attributes:
        topic: to which.
        is_verified: its token is valid here.
        is_late: the deadline in this token has passed, so no handler waits for the result.
        read_from: the topic from which its record is read, for a stub or a summary; None: the dead letter has it.
    """

    topic: str
    is_verified: bool
    is_late: bool = False
    read_from: str | None = None


class TopicDoubt(Enum):
    """Why only the operator can say whether a topic is one of the installation."""

    UNKNOWN = auto()
    """Nothing in the record or in the settings says so."""
    NO_KEYS = auto()
    """It is named like the task type, and without keys nobody knows whether the token of the task is valid."""
    OTHER_NAME = auto()
    """The token of the task is valid, but the topic is not named like the task type, the only name in a token."""
    OTHER_NAME_NO_KEYS = auto()
    """The topic is not named like the task type; keys would not help."""


@dataclass(frozen=True, slots=True)
class NeedsTopic:
    """It may be sent only if the operator says that this topic is one of the installation."""

    topic: str
    doubt: TopicDoubt = TopicDoubt.UNKNOWN


@dataclass(frozen=True, slots=True)
class MustNotSend:
    """It is not sent; the cause is the end of a sentence about it."""

    cause: str


ReplayVerdict = MaySend | NeedsTopic | MustNotSend


def check_letter(letter: DeadLetter, rules: ReplayRules) -> ReplayVerdict:
    """Decide about one dead letter; that of a stub or a summary is preliminary: ask again for each record read."""
    target = rules.to or letter.source.topic
    forged = _forged(letter, target, rules)
    if forged is not None:
        return forged
    if letter.stub_bytes is not None or letter.summary is not None:
        # Its records would be read from there with the operator's permissions.
        foreign = next((topic for topic in (letter.source.topic, target) if not _is_known(topic, rules)), None)
        may = MaySend(target, is_verified=False, read_from=letter.source.topic)
        return may if foreign is None else NeedsTopic(foreign)
    if {letter.source.topic, target} & {*rules.topics.all_results}:
        return _check_result(letter, target, rules)
    return _check_task(letter, target, rules)


def signed_type(letter: DeadLetter, rules: ReplayRules) -> str | None:
    """The task type in the token of a task or a result; None if the token is not valid here, or there is no key."""
    if rules.keyring is None:
        return None
    try:
        text, topic = _token_of(letter)
        return _verified(text, topic, rules.keyring, rules).task_type
    except UnverifiedError:
        return None


def _token_of(letter: DeadLetter) -> tuple[str, str]:
    """The token of a record and the results topic that it may be bound to."""
    try:
        headers = TaskHeaders.decode(letter.headers)
    except InvalidTaskError:
        return read_result(letter.value, letter.headers).token, letter.source.topic
    return headers.token, headers.reply_to


def _forged(letter: DeadLetter, target: str, rules: ReplayRules) -> MustNotSend | None:
    source = letter.source.topic
    if source in rules.never() and (rules.to is None or letter.stub_bytes is not None):
        return MustNotSend(_never_sentence(source))
    if target in rules.never():
        return MustNotSend(_never_sentence(target))
    if not is_kafka_name(source):
        return MustNotSend("the source is not the name of a topic, so the record is forged")
    if _is_cancel(letter):
        return MustNotSend("the record is a cancel, and kallback never dead-letters cancels, so it is forged")
    return None


def _never_sentence(topic: str) -> str:
    return (
        f"kallback never dead-letters records of {topic}, so the record is forged; check who may write to the "
        "dead-letter topic"
    )


def _is_known(topic: str, rules: ReplayRules) -> bool:
    return rules.owns(topic) or topic == rules.to


def _is_cancel(letter: DeadLetter) -> bool:
    try:
        Cancel.decode(letter.value)
    except InvalidControlError:
        return False
    return True


def _check_result(letter: DeadLetter, target: str, rules: ReplayRules) -> ReplayVerdict:
    if not _is_known(target, rules):
        return NeedsTopic(target)
    token = None
    try:
        text = read_result(letter.value, letter.headers).token
        if rules.keyring is not None:
            token = _verified(text, target, rules.keyring, rules)
    except UnverifiedError as error:
        if rules.send_unverified:
            return MaySend(target, is_verified=False)
        return MustNotSend(
            f"the token is not valid here ({error.reason}), so the bridge would refuse the record again{_HOW}"
        )
    return MaySend(target, is_verified=False) if token is None else _sent_with(token, target, rules)


def _sent_with(token: Token, target: str, rules: ReplayRules) -> MaySend:
    return MaySend(target, is_verified=True, is_late=is_late(token, rules.now_ms, GRACE_MS))


_HOW: Final = "; kallback dead-letters replay --unverified skips this check"


def _verified(text: str, target: str, keyring: Keyring, rules: ReplayRules) -> Token:
    """Verify a token for this installation's audience, or for the results topic that the record is sent to."""
    try:
        return keyring.verify(text, rules.audience)
    except UnverifiedError:
        if target in {rules.audience, *rules.topics.all_results}:
            raise
        return keyring.verify(text, target)


def _check_task(letter: DeadLetter, target: str, rules: ReplayRules) -> ReplayVerdict:
    try:
        headers = TaskHeaders.decode(letter.headers)
    except InvalidTaskError:
        return _unless_unverified(
            "a header of a task is missing or wrong, so a worker would refuse the record again", target, rules
        )
    if (answers := _answer_topics(headers, rules)) is not None:
        return answers
    if rules.keyring is None:
        doubt = TopicDoubt.NO_KEYS if headers.task_type == target else TopicDoubt.OTHER_NAME_NO_KEYS
        return MaySend(target, is_verified=False) if _is_known(target, rules) else NeedsTopic(target, doubt)
    try:
        token = _verified(headers.token, headers.reply_to, rules.keyring, rules)
    except UnverifiedError as error:
        return _unless_unverified(f"the token of the task is not valid here ({error.reason})", target, rules)
    if (token.task_type, token.task_id, token.attempt) != (headers.task_type, headers.task_id, headers.attempt):
        return _unless_unverified("the headers of the task contradict its token", target, rules)
    is_known = _is_known(target, rules) or token.task_type == target
    return _sent_with(token, target, rules) if is_known else NeedsTopic(target, TopicDoubt.OTHER_NAME)


def _answer_topics(headers: TaskHeaders, rules: ReplayRules) -> ReplayVerdict | None:
    """Look at the topics that a worker would write to; None if all of them are of this installation."""
    progress_to = None if headers.progress_to == rules.topics.progress else headers.progress_to
    for topic in (headers.reply_to, progress_to):
        if topic is not None and topic in rules.never():
            return MustNotSend(f"the task asks for an answer on {topic}, so the record is forged")
        if topic is not None and not _is_known(topic, rules):
            return NeedsTopic(topic)
    return None


def _unless_unverified(cause: str, target: str, rules: ReplayRules) -> ReplayVerdict:
    """What fails a check is sent only on demand, and to a known topic only."""
    if not rules.send_unverified:
        return MustNotSend(cause + _HOW)
    return MaySend(target, is_verified=False) if _is_known(target, rules) else NeedsTopic(target)
