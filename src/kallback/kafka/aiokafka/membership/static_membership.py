"""Notices that another process has taken over this member's instance id, which aiokafka does not.

Kafka says so (FENCED_INSTANCE_ID) to requests that carry the instance id. aiokafka's heartbeats and commits do not: it
is told that the member is unknown, joins anew under the same id, and takes it back; two processes would alternate.
Here each heartbeat carries the id, a commit that is refused is followed by such a heartbeat, and a fenced member does
not join again. A request to join that has no answer may be answered last: then the member has fenced itself.

As with fetches (`FetchScreen`), the wrapped method is `AIOKafkaClient.send`; a test holds this against aiokafka. The
request is Kafka's Heartbeat of version 3 (https://kafka.apache.org/protocol#The_Messages_Heartbeat), which brokers
answer since 2.3.
"""

# aiokafka is annotated in part only and ships no py.typed:
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportPrivateUsage=false, reportUnknownParameterType=false
# pyright: reportIncompatibleMethodOverride=false, reportAssignmentType=false

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any, Final

from aiokafka import errors
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import Int16, Int32, Schema, String

from kallback.kafka.offsets.membership_loss import MembershipLoss

if TYPE_CHECKING:
    from collections.abc import Callable

    from aiokafka import AIOKafkaConsumer

    OnFenced = Callable[[AIOKafkaConsumer, bool], None]
    """Told which client is fenced, and whether it may be by itself."""

_COMMIT: Final = 8
_JOIN: Final = 11
_HEARTBEAT: Final = 12
_SYNC: Final = 14
_UNKNOWN_MEMBER: Final = 25
FENCED: Final = 82
_JOIN_PAUSE_S: Final = 0.2


class _HeartbeatResponse(Response):
    API_KEY = _HEARTBEAT
    API_VERSION = 3
    SCHEMA = Schema(("throttle_time_ms", Int32), ("error_code", Int16))


class _HeartbeatStruct(RequestStruct):
    API_KEY = _HEARTBEAT
    API_VERSION = 3
    RESPONSE_TYPE = _HeartbeatResponse
    SCHEMA = Schema(
        ("group", String("utf-8")),
        ("generation_id", Int32),
        ("member_id", String("utf-8")),
        ("group_instance_id", String("utf-8")),
    )


class _StaticHeartbeat(Request[_HeartbeatStruct]):
    API_KEY = _HEARTBEAT

    def __init__(self, group: str, generation: int, member: str, instance_id: str) -> None:
        self._fields = (group, generation, member, instance_id)

    def build(self, request_struct_class: type[_HeartbeatStruct]) -> _HeartbeatStruct:
        return request_struct_class(*self._fields)


class StaticMembership:
    """Tells once that another process has this member's instance id.

    Args:
        inner: not started yet.
        group: the consumer group.
        instance_id: of this member.
        on_fenced: called on the event loop.
        monotonic: seconds that only grow.
    """

    def __init__(
        self,
        inner: AIOKafkaConsumer,
        group: str,
        instance_id: str,
        on_fenced: OnFenced,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._inner: Any = inner
        self._group = group
        self._instance_id = instance_id
        self._on_fenced = on_fenced
        self._fenced = False
        self._loss = MembershipLoss(monotonic)
        client: Any = inner._client  # noqa: SLF001 - see the module's docstring
        self._send = client.send
        client.send = self._send_as_member

    async def _send_as_member(self, node_id: Any, request: Any, **options: Any) -> Any:
        kind = getattr(request, "API_KEY", None)
        if kind == _JOIN and self._fenced:
            await asyncio.sleep(_JOIN_PAUSE_S)  # aiokafka tries again at once
            raise errors.GroupCoordinatorNotAvailableError
        sent = self._heartbeat() or request if kind == _HEARTBEAT else request
        try:
            response = await self._send(node_id, sent, **options)
        except BaseException:
            if kind == _JOIN:
                self._loss.session_ended()
            raise
        codes = _codes_of(response)
        if kind == _SYNC and codes == {0}:
            self._loss.assigned()
        if kind == _COMMIT and _UNKNOWN_MEMBER in codes and (heartbeat := self._heartbeat()) is not None:
            codes |= _codes_of(await self._send(node_id, heartbeat, **options))
        if FENCED in codes and not self._fenced:
            self._fenced = True
            self._on_fenced(self._inner, self._loss.explains_fencing())
        return response

    def _heartbeat(self) -> _StaticHeartbeat | None:
        """Return a heartbeat with the instance id; None between two memberships: then nothing can be fenced."""
        coordinator = self._inner._coordinator  # noqa: SLF001 - see the module's docstring
        if coordinator is None or not coordinator.member_id:
            return None
        return _StaticHeartbeat(self._group, coordinator.generation, coordinator.member_id, self._instance_id)


def _codes_of(response: Any) -> set[int]:
    """Return the error codes of a response about the group."""
    if getattr(response, "API_KEY", None) == _COMMIT:
        return {code for _, partitions in response.topics for _, code in partitions}
    return {getattr(response, "error_code", 0)}
