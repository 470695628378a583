"""What is sent to Restate for one verified result."""

from __future__ import annotations

import msgspec

from kallback.protocol import Answer
from kallback.protocol.verification import Target


class Completion(msgspec.Struct, frozen=True, gc=False):
    """One answer for one awakeable, authenticated and valid JSON.

    Attributes:
        token: the text as the worker sent it, for completers whose other side verifies it again. Secret.
        target: what it completes.
        answer: the worker's answer, or a failure that replaces it.
    """

    token: str
    target: Target
    answer: Answer

    def __repr__(self) -> str:
        return f"Completion({type(self.target).__name__}, {type(self.answer).__name__})"
