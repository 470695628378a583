"""The gateway: takes results, failures and heartbeats over HTTP, for workers and people without a Kafka client.

It verifies the token as the bridge does, writes the record that a worker would write, and answers when Kafka has
acknowledged it. What happens then is the bridge's business.
"""

from kallback.gateway.gateway import Gateway
from kallback.gateway.options import GatewayOptions
from kallback.gateway.stats import GatewayStats

__all__ = ["Gateway", "GatewayOptions", "GatewayStats"]
