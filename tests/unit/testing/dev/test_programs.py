"""Which programs run under `kallback dev`, with which options and settings."""

from __future__ import annotations

import shlex

import pytest

from kallback.protocol import ConfigurationError
from kallback.testing.dev.environment import ignored_settings
from kallback.testing.dev.programs import Application, Program, ProgramSettings, asked_ports, programs

VARIABLES = {"KALLBACK_KAFKA_BOOTSTRAP_SERVERS": "a:9092", "KALLBACK_KEYS": "k1:x"}
SHOP = Application(("shop.service:app",), ("shop.worker:worker",), ("shop.tasks",))


def planned(
    application: Application,
    *,
    creates_topics: bool = True,
    former_ports: dict[str, int] | None = None,
    asked: dict[str, int] | None = None,
) -> dict[str, Program]:
    """The programs by their names; each gets its usual port, or the next one where another program has that."""
    given_ports = set[int]()

    def choose(wanted: int | None, usual: int) -> int:
        port = wanted or next(port for port in range(usual, usual + 100) if port not in given_ports)
        given_ports.add(port)
        return port

    given = ProgramSettings(
        VARIABLES,
        choose,
        asked or {},
        former_ports=former_ports or {},
        processes=("http://127.0.0.1:1",),
        creates_topics=creates_topics,
    )
    return {each.name: each for each in programs(application, given)}


def test_without_an_application_gateway_and_console_run() -> None:
    """They import nothing, so no change concerns them."""
    found = planned(Application())
    assert sorted(found) == ["console", "gateway"]
    assert not any(each.reloads for each in found.values())


def test_an_application_runs_with_a_bridge() -> None:
    """Service and worker start anew at a change; the bridge has none of the developer's modules."""
    found = planned(SHOP)
    assert sorted(found) == ["bridge", "console", "gateway", "service", "worker"]
    assert (found["service"].reloads, found["worker"].reloads, found["bridge"].reloads) == (True, True, False)
    assert found["service"].arguments == ("service", "shop.service:app", "--health-port", "9467", "--port", "9080")


@pytest.mark.parametrize("name", ["gateway", "console"])
def test_gateway_and_console_know_the_types(name: str) -> None:
    """They check results by hand, and follow changes of the types."""
    assert "--types=shop.tasks" in planned(SHOP)[name].arguments
    assert planned(SHOP)[name].reloads
    assert "--types" not in " ".join(planned(Application(("shop.service:app",)))[name].arguments)


def test_the_console_knows_the_health_ports_of_all_that_runs() -> None:
    """Its page of processes was empty."""
    found = planned(SHOP)
    shown = {each.removeprefix("--process=") for each in found["console"].arguments if each.startswith("--process=")}
    assert {each.rpartition("=")[2] for each in shown} == {
        f"http://127.0.0.1:{port}" for port in (9464, 9465, 9466, 9467, 1)
    }
    for name in ("bridge", "gateway", "worker"):
        port = found[name].arguments[found[name].arguments.index("--health-port") + 1]
        assert f"{name}=http://127.0.0.1:{port}" in shown  # the page says the name of one that is dead


def test_a_worker_has_no_signing_key() -> None:
    """As in production: it verifies nothing. A service signs, and makes links."""
    found = planned(SHOP)
    assert "KALLBACK_KEYS" not in found["worker"].env
    assert found["service"].env["KALLBACK_KEYS"] == "k1:x"
    assert found["service"].env["KALLBACK_GATEWAY_URL"] == found["gateway"].url


def test_options_of_the_developer_win() -> None:
    """They follow those of `kallback dev`."""
    arguments = planned(Application(workers=("shop.worker:worker --drain-timeout 60",)))["worker"].arguments
    assert arguments.index("60") > arguments.index("3")


@pytest.mark.parametrize("form", ["--port 21100 --health-port 21101", "--health-port=21101 --port=21100"])
def test_a_port_that_the_developer_gives_is_used(form: str) -> None:
    """Restate finds the service there, and the console the health port."""
    found = planned(Application((f"shop.service:app {form}",), ("shop.worker:worker --health-port 21102",)))
    service = found["service"]
    assert (service.port, service.health_url) == (21100, "http://127.0.0.1:21101")
    assert service.arguments[-4:] == ("--health-port", "21101", "--port", "21100")
    assert "--process=worker=http://127.0.0.1:21102" in found["console"].arguments


def test_health_ports_of_bridge_and_gateway_are_chosen_as_other_ports_are() -> None:
    """They were 9464 and 9466, or unknown ones where these are taken, so no scrape could name them."""
    found = planned(SHOP, asked={"bridge health": 21103, "gateway health": 21104})
    assert found["bridge"].arguments[-2:] == ("--health-port", "21103")
    assert "--process=bridge=http://127.0.0.1:21103" in found["console"].arguments
    assert found["gateway"].health_url == "http://127.0.0.1:21104"


def test_all_ports_are_kept_for_the_next_run() -> None:
    """Those of health ports, too: what asks them has their addresses."""
    ports = dict(each for program in planned(SHOP).values() for each in program.ports().items())
    assert ports == {
        "gateway": 8090,
        "gateway health": 9466,
        "console": 8091,
        "bridge health": 9464,
        "worker health": 9465,
        "service": 9080,
        "service health": 9467,
    }
    assert planned(SHOP, former_ports={"worker health": 21105})["worker"].port == 21105


def test_ports_of_the_developer_are_given_to_no_other_program() -> None:
    """A worker on 9466 ended, because the gateway had been given it first."""
    application = Application(("a:app --port 21100 --health-port 21101",), ("b:worker --health-port=9466", "c:worker"))
    assert sorted(asked_ports(application)) == [9466, 21100, 21101]


@pytest.mark.parametrize(
    ("application", "asked", "said"),
    [
        (Application(("a:app --port 21100 --health-port 21100",)), {}, "service and service health"),
        (Application(workers=("a:worker --health-port 21100",)), {"bridge health": 21100}, "bridge health and worker"),
        (Application(), {"gateway health": 21100, "console": 21100}, "gateway health and console"),
    ],
)
def test_a_port_that_two_programs_were_given_is_refused(
    application: Application, asked: dict[str, int], said: str
) -> None:
    """The second one would end, after the first has started."""
    with pytest.raises(ConfigurationError, match=f"{said}.* have the same port, 21100"):
        planned(application, asked=asked)


def test_port_0_of_the_developer_is_a_free_one() -> None:
    """`kallback dev` chooses it, because it has to know it."""
    assert planned(Application(("shop.service:app --port 0",)))["service"].port == 9080


@pytest.mark.parametrize("text", ["shop.service:app --port http", "shop.service:app --port"])
def test_a_port_that_is_no_number_is_refused(text: str) -> None:
    """With the option's name."""
    with pytest.raises(ConfigurationError, match="--port"):
        planned(Application((text,)))


@pytest.mark.parametrize(("creates", "count"), [(True, 1), (False, 0)])
def test_a_worker_creates_its_topics(creates: bool, count: int) -> None:  # noqa: FBT001 - a parameter of the test
    """Unless the broker makes them at their first use."""
    assert planned(SHOP, creates_topics=creates)["worker"].arguments.count("--create-topics") == count


def test_several_programs_of_one_kind_have_numbers() -> None:
    """So that their lines can be told apart."""
    assert {"worker-1", "worker-2"} <= planned(Application(workers=("a:worker", "b:worker"))).keys()


@pytest.mark.parametrize("text", ["a:worker '", ""])
def test_an_option_that_no_shell_takes_is_refused(text: str) -> None:
    """With its name."""
    with pytest.raises(ConfigurationError, match="--worker"):
        planned(Application(workers=(text,)))


@pytest.mark.parametrize("pattern", ["", ".", "/shop/scripts", "../scripts"])
def test_a_pattern_that_matches_nothing_is_refused(pattern: str) -> None:
    """Paths are those below the folder."""
    with pytest.raises(ConfigurationError, match="--reload-exclude"):
        Application(("a:app",), exclude=(pattern,))


def test_the_command_of_an_application_can_be_pasted() -> None:
    """It is what runs it."""
    command = Application(("a:app",), ("b:worker --concurrency 4",), ("c",), ("*_pb2.py",)).command()
    wanted = "kallback dev --service a:app --worker 'b:worker --concurrency 4' --types c --reload-exclude '*_pb2.py'"
    assert command == wanted
    assert shlex.split(command)[4:6] == ["--worker", "b:worker --concurrency 4"]


def test_a_service_is_where_waiting_handlers_expect_it() -> None:
    """Restate continues them at the address that they began at; another free port would leave them waiting for ever."""
    found = planned(SHOP, former_ports={"service": 20001, "console": 20002})
    assert (found["service"].port, found["console"].port) == (20001, 20002)
    assert found["service"].moved_from({"service": 20001}) == ""
    assert found["service"].moved_from({}) == ""
    assert "listened on 20000" in found["service"].moved_from({"service": 20000})
    assert found["console"].moved_from({"console": 20000}) == ""


def test_a_terminal_with_the_addresses_of_this_stack_gets_no_warning() -> None:
    """Services are given the gateway's address, so a terminal that has pasted it contradicts nothing."""
    given = [each.env for each in planned(SHOP).values()]
    exported = {**VARIABLES, "KALLBACK_GATEWAY_URL": planned(SHOP)["gateway"].url}
    assert ignored_settings(exported, given) == ""
    assert "KALLBACK_GATEWAY_URL. Unset" in ignored_settings({**exported, "KALLBACK_GATEWAY_URL": "http://b"}, given)
