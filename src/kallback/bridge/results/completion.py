"""What is handed to Restate for one verified result."""

from __future__ import annotations

import msgspec

from kallback.bridge.results.verify import Target
from kallback.protocol import Answer


class Completion(msgspec.Struct, frozen=True, gc=False):
    """One answer for one awakeable, of proven origin and proven to be JSON.

    Attributes:
        token: the text as the worker echoed it, for completers whose other side verifies by itself. Secret.
        target: what it completes.
        answer: what the worker said, or what is said in its place.
    """

    token: str
    target: Target
    answer: Answer

    def __repr__(self) -> str:
        return f"Completion({type(self.target).__name__}, {type(self.answer).__name__})"
