"""Commits of an aiokafka consumer: one after the other, each with a bound, as aiokafka itself tries for ever."""

# aiokafka is annotated in part only and ships no py.typed:
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final

from kallback.kafka.aiokafka.client import adopt_abandoned_commits, translated
from kallback.kafka.aiokafka.membership.committed_offsets import client_commits
from kallback.kafka.offsets.commit_failures import CommitFailures
from kallback.settings import named_log

from aiokafka import AIOKafkaConsumer, errors  # isort: skip - the check comes first

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from kallback.kafka.offsets.record_buffer import RecordBuffer

log: Final = named_log("kallback.kafka")

COMMIT_TIMEOUT_S: Final = 5.0


class MemberCommits:
    """Commits what the record buffer says is due.

    Args:
        member: returns the present client; it is asked when a commit's turn has come, because clients are replaced.
    """

    def __init__(
        self, member: Callable[[], AIOKafkaConsumer | None], buffer: RecordBuffer, topics: Sequence[str], group: str
    ) -> None:
        self._member = member
        self._buffer = buffer
        self._what = f"committing for {', '.join(topics)}"
        self._group = group
        self._turn = asyncio.Lock()
        self._failures = CommitFailures(log, time.monotonic)

    async def make(self, missing: Collection[str], *, leaving: bool) -> None:
        """Commit, except of topics that are missing; what fails now is covered by the next commit.

        Raises:
            AccessDeniedError: the group or a topic is not permitted any more.
        """
        async with self._turn:
            inner, due = self._member(), self._buffer.commits(leaving=leaving)
            commits = {each: commit for each, commit in due.items() if each.topic not in missing}
            if not commits or inner is None:
                return
            try:
                async with asyncio.timeout(COMMIT_TIMEOUT_S):
                    await inner.commit(client_commits(commits))
            except errors.OffsetMetadataTooLargeError:
                self._buffer.stop_metadata()
            except (errors.GroupAuthorizationFailedError, errors.TopicAuthorizationFailedError) as error:
                raise translated(error, what=self._what, group=self._group) from None
            except (errors.KafkaError, TimeoutError) as error:
                in_rebalance = isinstance(error, errors.CommitFailedError)
                self._failures.failed(f"{type(error).__name__}: {error}", in_rebalance=in_rebalance, leaving=leaving)
            else:
                self._failures.taken()
                self._buffer.committed(commits)
            finally:
                adopt_abandoned_commits()
