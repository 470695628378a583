"""A member on aiokafka notices that another process has its instance id."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import errors
from aiokafka.protocol.commit import OffsetCommitRequest
from aiokafka.protocol.group import HeartbeatRequest, JoinGroupRequest, SyncGroupRequest

from kallback.kafka.aiokafka.membership.static_membership import StaticMembership

FENCED, UNKNOWN_MEMBER, REBALANCE = 82, 25, 27
BEAT = HeartbeatRequest("g", 3, "member")
COMMIT = OffsetCommitRequest("g", 3, "member", -1, [])
JOIN = JoinGroupRequest("g", 10_000, 10_000, "", "one", "consumer", [])
SYNC = SyncGroupRequest("g", 3, "member", "one", [])


class Member:
    """A client whose broker answers heartbeats with one code and commits with another."""

    def __init__(self, *, heartbeat: int = 0, commit: int = 0, member_id: str = "member") -> None:
        self.sent: list[Any] = []
        self.fenced: list[Any] = []
        self.by_itself: list[bool] = []
        self.now = 0.0
        self.is_away = False
        self._codes = {HeartbeatRequest.API_KEY: heartbeat, OffsetCommitRequest.API_KEY: commit}
        self.client = SimpleNamespace(send=self._send)
        coordinator = SimpleNamespace(member_id=member_id, generation=3)
        inner: Any = SimpleNamespace(_client=self.client, _coordinator=coordinator)
        StaticMembership(inner, "g", "one", self._on_fenced, lambda: self.now)

    def _on_fenced(self, inner: Any, by_itself: bool) -> None:  # noqa: FBT001 - a callback
        self.fenced.append(inner)
        self.by_itself.append(by_itself)

    async def _send(self, _node: int, request: Any) -> Any:
        self.sent.append(request)
        if self.is_away:
            raise errors.RequestTimedOutError
        code = self._codes.get(request.API_KEY, 0)
        if request.API_KEY == OffsetCommitRequest.API_KEY:
            return SimpleNamespace(API_KEY=OffsetCommitRequest.API_KEY, topics=[("t", [(0, code)])])
        return SimpleNamespace(API_KEY=request.API_KEY, error_code=code)

    async def send(self, request: Any) -> Any:
        """Send as aiokafka does."""
        return await self.client.send(1, request)


async def test_a_fenced_heartbeat_is_told_once_and_the_member_does_not_join_again() -> None:
    """Joining would take the id back."""
    member = Member(heartbeat=FENCED)
    await member.send(BEAT)
    await member.send(BEAT)
    with pytest.raises(errors.GroupCoordinatorNotAvailableError):
        await member.send(JOIN)
    assert (len(member.fenced), len(member.sent)) == (1, 2)


async def test_a_heartbeat_carries_the_instance_id() -> None:
    """Kafka checks the id only if it is told."""
    member = Member()
    await member.send(BEAT)
    assert member.sent[0]._fields == ("g", 3, "member", "one")
    assert member.fenced == []


@pytest.mark.parametrize(("heartbeat", "fenced"), [(FENCED, 1), (UNKNOWN_MEMBER, 0)])
async def test_a_heartbeat_tells_why_a_commit_was_refused(heartbeat: int, fenced: int) -> None:
    """An unknown member may also be one whose session is over: that one joins again."""
    member = Member(heartbeat=heartbeat, commit=UNKNOWN_MEMBER)
    await member.send(COMMIT)
    assert (len(member.fenced), len(member.sent)) == (fenced, 2)


async def test_other_answers_to_a_commit_ask_nothing() -> None:
    """A rebalance is no sign of another process."""
    member = Member(commit=REBALANCE)
    await member.send(COMMIT)
    assert (member.fenced, len(member.sent)) == ([], 1)


async def test_between_two_memberships_nothing_is_fenced() -> None:
    """Without a member id Kafka would call any heartbeat with an instance id fenced."""
    member = Member(heartbeat=UNKNOWN_MEMBER, commit=UNKNOWN_MEMBER, member_id="")
    await member.send(BEAT)
    await member.send(COMMIT)
    assert (member.sent, member.fenced) == ([BEAT, COMMIT], [])


@pytest.mark.parametrize(("unanswered", "passed", "by_itself"), [(0, 0.0, False), (1, 59.0, True), (1, 61.0, False)])
async def test_a_request_to_join_without_an_answer_may_be_the_other_process(
    unanswered: int, passed: float, *, by_itself: bool
) -> None:
    """Kafka may take it up after the one that counts; a minute after the member has joined it did not."""
    member = Member(heartbeat=FENCED)
    for _ in range(unanswered):
        member.is_away = True
        with pytest.raises(errors.RequestTimedOutError):
            await member.send(JOIN)
    member.is_away = False
    await member.send(JOIN)
    await member.send(SYNC)
    member.now = passed
    await member.send(BEAT)
    assert member.by_itself == [by_itself]
