"""Keys that are no secret: a bridge must not start with one."""

from __future__ import annotations

import base64
import hashlib
import os
import re
from typing import Final

from attacks.attack import Attack
from attacks.attacker import Attacker
from attacks.programs import ROOT

_STARTED_S: Final = 10.0


def _weak_keys() -> tuple[str, ...]:
    example = re.search(r"KALLBACK_KEYS=(.+)", (ROOT / ".env.example").read_text())
    known = (
        *(b"kallback-insecure-published-development-key", bytes(32), b"\xff" * 32, b"ab" * 16, b"password" * 4),
        hashlib.sha256(b"password").digest(),
    )
    secret = base64.b64encode(os.urandom(32)).decode()
    return (
        *((example[1],) if example else ()),
        *(f"k1:{base64.b64encode(key).decode()}" for key in known),
        f"k1:{secret},k2:{secret}",
        "k1:changeme",
    )


async def _weak(attacker: Attacker) -> None:
    """Each must be refused with a sentence."""
    for keys in _weak_keys():
        done = await attacker.command("bridge", limit_s=_STARTED_S, KALLBACK_KEYS=keys)
        if done.exit_code <= 0 or "Traceback" in done.output:
            attacker.findings.append(f"a bridge starts with the key {keys}: {done.output[-200:]}")


ATTACKS: Final = (Attack(name="weak-keys", does="settings: signing keys that are no secret", write=_weak),)
