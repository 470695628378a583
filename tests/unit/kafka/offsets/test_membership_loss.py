"""Who has fenced a member: another process, or a request of its own."""

from __future__ import annotations

from kallback.kafka.offsets.membership_loss import MembershipLoss


def test_a_member_that_lost_its_session_may_have_fenced_itself() -> None:
    """Until it has been in its group for a minute; the id of one that lost nothing was taken over."""
    now = 0.0
    loss = MembershipLoss(lambda: now)
    seen = [loss.explains_fencing()]
    loss.assigned()
    seen.append(loss.explains_fencing())
    loss.session_ended()
    now = 1_000.0
    seen.append(loss.explains_fencing())
    loss.assigned()
    now = 1_059.0
    seen.append(loss.explains_fencing())
    now = 1_061.0
    seen.append(loss.explains_fencing())
    assert seen == [False, False, True, True, False]
