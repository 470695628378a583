"""Checks Restate: when the bridge starts, until it answers, and whenever it is available after an outage.

Too old is an error: before 1.7.0 an accepted completion could be lost when a partition changed its leader. Unavailable
is a log line: results wait in Kafka, and a bridge that is started before its Restate must not need a restart. The
version comes from the admin API, which many bridges cannot reach; that is a log line, too.
"""

from __future__ import annotations

import asyncio
import re
from typing import Final

import msgspec

from kallback.bridge.restate.client import RestateHttp
from kallback.lifecycle import LogThrottle
from kallback.protocol import ConfigurationError, RestateUnavailableError, UnsupportedServerError
from kallback.settings import RestateSettings

LEAST: Final = (1, 7, 0)
_TIMEOUT_S: Final = 5.0
_OK: Final = 200
_VERSION: Final = re.compile(r"(\d{1,6})\.(\d{1,6})\.(\d{1,6})")


class _Version(msgspec.Struct):
    version: str


_DECODER: Final = msgspec.json.Decoder(_Version)


class RestateCheck:
    """Checks that Restate answers, and that its version is supported."""

    def __init__(self, settings: RestateSettings, log: LogThrottle) -> None:
        self._settings = settings
        self._log = log

    async def check(self) -> bool:
        """Check once, for a few seconds at most; return whether the ingress answers.

        Raises:
            UnsupportedServerError: Restate is older than 1.7.0.
            ConfigurationError: settings that can never work.
        """
        if not await self._ingress():
            return False
        await self._version()
        return True

    async def _ingress(self) -> bool:
        try:
            await _get(RestateHttp(self._settings), "/restate/health")
        except RestateUnavailableError as error:
            self._log.warning(
                "Restate's ingress does not answer: check that Restate runs and KALLBACK_RESTATE_INGRESS_URL names it; "
                "results wait in Kafka until it does",
                kind="ingress-absent",
                ingress_url=self._settings.ingress_url,
                detail=str(error),
            )
            return False
        return True

    async def _version(self) -> None:
        try:
            body = await _get(RestateHttp(self._settings, self._settings.admin_url), "/version")
            text = _DECODER.decode(body).version
            found = _VERSION.match(text)
        except (RestateUnavailableError, ConfigurationError, msgspec.DecodeError, UnicodeDecodeError) as error:
            self._unknown(str(error))
            return
        if found is None:
            self._unknown(f"version {text[:40]!r}")
        elif tuple(int(part) for part in found.groups()) < LEAST:
            raise UnsupportedServerError(
                f"Restate at {self._settings.admin_url} is {found[0]}: kallback needs 1.7.0 or later, because older "
                "servers can lose completions that they accepted; upgrade restate-server"
            )

    def _unknown(self, detail: str) -> None:
        self._log.warning(
            "Restate's version is unknown, kallback needs 1.7.0 or later: set KALLBACK_RESTATE_ADMIN_URL to its admin "
            "API to have it checked",
            kind="version-unknown",
            admin_url=self._settings.admin_url,
            detail=detail,
        )


async def _get(http: RestateHttp, path: str) -> bytes:
    await http.start()
    try:
        async with asyncio.timeout(_TIMEOUT_S):
            answer = await http.get(path)
    except TimeoutError:
        raise RestateUnavailableError(f"no answer within {_TIMEOUT_S:.0f} s") from None
    finally:
        await http.stop()
    if answer.status != _OK:
        raise RestateUnavailableError(f"{http.address}{path} answers {answer.status}")
    return answer.body
