"""A stand-in for a payment provider: it moves no money, it only says what it would do.

A journaled step may run twice if the process dies between doing and journaling, so a real provider would get the
order's id as its idempotency key. That is why both calls take it.
"""

from __future__ import annotations

import logging

_log = logging.getLogger(__name__)


def charge(order_id: str, cents: int) -> int:
    """Take the money; return how much was taken."""
    _log.info("order %s: charged %.2f EUR", order_id, cents / 100)
    return cents


def refund(order_id: str, cents: int) -> int:
    """Give the money back; return how much was given back."""
    _log.info("order %s: refunded %.2f EUR", order_id, cents / 100)
    return cents
