"""`kallback dev`: a Kafka and a Restate to try things on."""

from __future__ import annotations

import click

from kallback.cli.missing_extras import needs_extra


@click.command()
@click.option("--kafka-port", type=click.IntRange(1, 65535), help="Where Kafka listens.  [default: a free port]")
@click.option("--ingress-port", type=click.IntRange(1, 65535), help="Restate's ingress.  [default: a free port]")
@click.option("--admin-port", type=click.IntRange(1, 65535), help="Restate's admin API.  [default: a free port]")
def dev(*, kafka_port: int | None, ingress_port: int | None, admin_port: int | None) -> None:
    """Start a Kafka and a Restate to try things on.

    Prints the addresses and what to export, then waits for Ctrl-C, which stops both and removes their data.
    Kafka needs Java 17 and Maven, Restate needs npm; both are downloaded once.
    """
    with needs_extra("dev"):
        from kallback.testing.dev import run_dev  # noqa: PLC0415 - loaded only where the extra is there
        from kallback.testing.stack import KafkaOptions, RestateOptions  # noqa: PLC0415
    run_dev(KafkaOptions(port=kafka_port), RestateOptions(ingress_port=ingress_port, admin_port=admin_port))
