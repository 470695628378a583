"""Why aiokafka could not connect: it logs the reason and raises another error, so one connection is tried once more.

A refused log-in and a certificate that is not trusted will not pass by themselves; everything else may.
"""

# aiokafka is annotated in part only and ships no py.typed:
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false

from __future__ import annotations

import asyncio
import ssl
from typing import TYPE_CHECKING, Any, Final

from aiokafka import errors
from aiokafka.conn import collect_hosts, create_conn

from kallback.kafka.errors import error_for

if TYPE_CHECKING:
    from kallback.protocol.errors import KallbackError
    from kallback.settings import KafkaSettings

_PATIENCE: Final = 2.0
_AUTHENTICATION: Final = 58
_TLS: Final = -181


async def refusal(settings: KafkaSettings, config: dict[str, Any]) -> KallbackError | None:
    """Connect to one of the bootstrap servers; return what refuses us for good, if anything does."""
    options = {name: value for name, value in config.items() if name != "bootstrap_servers"}
    host, port, _ = collect_hosts(settings.bootstrap_servers)[0]
    try:
        async with asyncio.timeout(_PATIENCE):
            connection = await create_conn(host, port, **options)
    except errors.SaslAuthenticationFailed as error:
        return error_for(_AUTHENTICATION, str(error), what="connecting to Kafka")
    except ssl.SSLError as error:
        return error_for(_TLS, error.strerror or str(error), what="connecting to Kafka")
    except (OSError, TimeoutError, errors.KafkaError):
        return None
    connection.close()
    return None
