"""Plays the requester against any worker, in any language, and says which rules of the wire it keeps.

The rules are those of protocol/README.md. `checks` lists them: what is sent, and what must come. `verdicts` are
pure; `runner` is the loop that sends, reads and waits. Tokens are signed with a key that is made for one run, so
that answers are verified as a bridge verifies them, and no bridge accepts them.
"""

from kallback.wire_check.checks import CHECKS, NAMES, PAGES
from kallback.wire_check.connections import CheckConnections, open_connections, prepare_topics
from kallback.wire_check.observed import CheckResult, CheckVerdict
from kallback.wire_check.options import CheckedTopics, CheckRequests, WireCheckOptions, own_topics
from kallback.wire_check.protocol_check import ProtocolCheck
from kallback.wire_check.runner import WireCheckRunner
from kallback.wire_check.worker_process import CheckedProcess

__all__ = [
    "CHECKS",
    "NAMES",
    "PAGES",
    "CheckConnections",
    "CheckRequests",
    "CheckResult",
    "CheckVerdict",
    "CheckedProcess",
    "CheckedTopics",
    "ProtocolCheck",
    "WireCheckOptions",
    "WireCheckRunner",
    "open_connections",
    "own_topics",
    "prepare_topics",
]
