"""What the options of `kallback bridge` come to."""

from __future__ import annotations

import socket
from typing import Protocol

import pytest
from click.testing import CliRunner

from kallback.bridge import BridgeOptions, Client
from kallback.bridge.results.late_policy import DropLate, ToHandler
from kallback.cli.commands import bridge as command
from kallback.cli.commands.instance_id import instance_id_for
from kallback.protocol import ConfigurationError, FailureMarks
from kallback.settings import DeadLetterSettings, Settings


class ReadOptions(Protocol):
    """Runs the command with these arguments; what would be served."""

    def __call__(self, *arguments: str) -> BridgeOptions:
        """Run it."""
        ...


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> ReadOptions:
    """The command, which serves nothing."""
    served: list[BridgeOptions] = []
    monkeypatch.setattr(command, "configure_logs", lambda **_: None)
    monkeypatch.setattr(command, "serve_observed", lambda _settings, options, _observing: served.append(options))
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)

    def run(*arguments: str) -> BridgeOptions:
        result = CliRunner().invoke(command.bridge, ["--insecure", *arguments], catch_exceptions=False)
        assert result.exit_code == 0, result.output
        return served[-1]

    return run


def test_without_options_the_defaults_hold(read: ReadOptions) -> None:
    """The command has none of its own."""
    assert read() == BridgeOptions()


def test_limits_of_dead_letters(monkeypatch: pytest.MonkeyPatch) -> None:
    """An option wins over its variable; without it the variable counts."""
    served: list[Settings] = []
    monkeypatch.setattr(command, "configure_logs", lambda **_: None)
    monkeypatch.setattr(command, "serve_observed", lambda settings, *_: served.append(settings))
    environ = {"KALLBACK_DEAD_LETTERS_PER_SECOND": "7", "KALLBACK_DEAD_LETTERS_BYTES_PER_HOUR": "8000"}
    CliRunner().invoke(
        command.bridge, ["--insecure", "--dead-letters-per-second", "3"], env=environ, catch_exceptions=False
    )
    assert served[0].dead_letters == DeadLetterSettings(per_second=3, bytes_per_hour=8000)


def test_the_client(read: ReadOptions) -> None:
    """By default it is confluent."""
    assert read("--client", "aiokafka").client is Client.AIOKAFKA


def test_one_drain_timeout_for_stop_and_rebalance(read: ReadOptions) -> None:
    """Who sets it means both."""
    options = read("--drain-timeout", "3")
    assert (options.drain_timeout, options.consumer.drain_timeout) == (3.0, 3.0)


def test_membership(read: ReadOptions) -> None:
    """What the consumer is told."""
    consumer = read(
        "--instance-id", "b-7", "--session-timeout", "9", "--commit-interval", "0.5", "--window", "7"
    ).consumer
    found = (consumer.group_instance_id, consumer.session_timeout, consumer.commit_interval, consumer.window)
    assert found == ("b-7", 9.0, 0.5, 7)


@pytest.mark.parametrize("group", ["", " "])
def test_a_group_that_is_given_and_empty(group: str) -> None:
    """A variable of a shell that is not set is no wish for the default."""
    result = CliRunner().invoke(command.bridge, ["--insecure", "--group", group])
    assert result.exit_code == 2
    assert "leave the option out" in result.output


def test_the_bounds_of_one_partition_reach_the_consumer(read: ReadOptions) -> None:
    """It alone can pass a partition over."""
    assert read("--partition-in-flight", "10").for_consumer().unfinished_records == 10


def test_late_policies(read: ReadOptions) -> None:
    """One for all, and one for a type."""
    late = read("--late", "drop", "--late", "shop.pack=handler:Orphans/take").late
    assert (late.of("other"), late.of("shop.pack")) == (DropLate(), ToHandler("Orphans", "take"))


def test_conventions(read: ReadOptions) -> None:
    """Error headers for one type; the others as they are detected."""
    conventions = read("--convention", "shop.pack=spring:x-error").conventions
    assert conventions.of("shop.pack").headers == {"x-error"}
    assert conventions.of("other") == FailureMarks()


@pytest.mark.parametrize(("text", "seconds"), [("never", None), ("60", 60.0)])
def test_parking_may_be_switched_off(read: ReadOptions, text: str, seconds: float | None) -> None:
    """Who wants to wait for a repair may."""
    assert read("--park-after", text).park_after == seconds


def test_a_stateful_set_names_its_replicas(read: ReadOptions, monkeypatch: pytest.MonkeyPatch) -> None:
    """The pod's name comes back after a crash, and no other pod has it."""
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    monkeypatch.setattr(socket, "gethostname", lambda: "bridge-0")
    assert read().consumer.group_instance_id == "bridge-0"


@pytest.mark.parametrize(
    ("hostname", "in_kubernetes"),
    [("bridge-6d4cf56db6-x7k2p", True), ("bridge-6d4cf56db6-24567", True), ("laptop", False), ("web-1", False)],
)
def test_no_name_is_better_than_one_that_does_not_last(hostname: str, in_kubernetes: bool) -> None:  # noqa: FBT001 - a parameter of the test
    """A Deployment's pod, a machine on which two bridges may run."""
    assert instance_id_for("auto", hostname=hostname, in_kubernetes=in_kubernetes) is None


def test_none_means_none() -> None:
    """Wherever it runs."""
    assert instance_id_for("none", hostname="bridge-0", in_kubernetes=True) is None


@pytest.mark.parametrize("name", ["", "a b", "ä", "..", "x" * 250])
def test_a_name_that_kafka_does_not_take(name: str) -> None:
    """The sentence says what it does take."""
    with pytest.raises(ConfigurationError, match="--instance-id"):
        instance_id_for(name, hostname="h", in_kubernetes=False)


def test_help_is_in_sections() -> None:
    """Twenty options are read by topic."""
    output = CliRunner().invoke(command.bridge, ["--help"]).output
    places = [output.index(name) for name in ("Replicas and restarts:", "Flow control:", "Results:", "Options:")]
    assert places == sorted(places)
