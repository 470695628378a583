"""The bridge: a daemon that turns result records into completions of awakeables.

await Bridge(Settings.from_env()).run()
"""

from kallback.bridge.bridge import Bridge
from kallback.bridge.clocks import Clocks
from kallback.bridge.completers import Completer, Completion, FunctionCompleter
from kallback.bridge.decide import Attach, Deliver, Duplicate, Late, Seen, Unusable, Unverified, Verdict, decide
from kallback.bridge.ingress import IngressCompleter
from kallback.bridge.options import Backoff, BridgeOptions
from kallback.bridge.parts import Parts
from kallback.bridge.replies import Accepted, Misconfigured, Rejected, Reply, Retry, TooLarge, read_reply
from kallback.bridge.stats import Settled, Stats
from kallback.bridge.verify import Target, Trust, Verified, verify

__all__ = [
    "Accepted",
    "Attach",
    "Backoff",
    "Bridge",
    "BridgeOptions",
    "Clocks",
    "Completer",
    "Completion",
    "Deliver",
    "Duplicate",
    "FunctionCompleter",
    "IngressCompleter",
    "Late",
    "Misconfigured",
    "Parts",
    "Rejected",
    "Reply",
    "Retry",
    "Seen",
    "Settled",
    "Stats",
    "Target",
    "TooLarge",
    "Trust",
    "Unusable",
    "Unverified",
    "Verdict",
    "Verified",
    "decide",
    "read_reply",
    "verify",
]
