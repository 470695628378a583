"""Which programs run under `kallback dev`, with which options and settings. Pure.

All are subcommands of `kallback`.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Final

from kallback.protocol.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

GATEWAY_PORT: Final = 8090
CONSOLE_PORT: Final = 8091
SERVICE_PORT: Final = 9080
_BRIDGE_HEALTH_PORT: Final = 9464
_WORKER_HEALTH_PORT: Final = 9465
_GATEWAY_HEALTH_PORT: Final = 9466
_SERVICE_HEALTH_PORT: Final = 9467
_DRAIN_TIMEOUT_S: Final = 3
"""Of workers: somebody waits for the restart. The tasks go on at the next one, as after a deployment."""
SIGNING: Final = "KALLBACK_KEYS"
_HEALTH: Final = " health"
"""Behind the name of a program: its health port."""


@dataclass(frozen=True, slots=True)
class Application:
    """A developer's own programs, each as its command takes it, options included: "kitchen:worker --concurrency 4".

    Attributes:
        services: of `kallback service`.
        workers: of `kallback worker`.
        types: modules with task types, as `--types` of `kallback gateway` and `kallback console` takes them.
        exclude: patterns of files and folders whose changes start nothing anew, such as "*_pb2.py" or "scripts"; one
            with a slash is compared with the end of the path below the current directory.

    Raises:
        ConfigurationError: a pattern is empty, absolute, or leads out of the directory.
    """

    services: tuple[str, ...] = ()
    workers: tuple[str, ...] = ()
    types: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for pattern in self.exclude:
            parts = PurePosixPath(pattern).parts
            if not parts or PurePosixPath(pattern).is_absolute() or ".." in parts:
                raise ConfigurationError(
                    f"--reload-exclude {pattern!r} matches nothing: write a pattern for paths below this folder, such "
                    "as scripts, print_shop/generated or '*_pb2.py'"
                )

    @property
    def runs(self) -> bool:
        """Whether there is a program, so that a bridge is needed, too."""
        return bool(self.services or self.workers)

    def command(self) -> str:
        """The command that runs it."""
        options = (
            ("--service", self.services),
            ("--worker", self.workers),
            ("--types", self.types),
            ("--reload-exclude", self.exclude),
        )
        return shlex.join(
            ["kallback", "dev", *(part for name, each in options for text in each for part in (name, text))]
        )


@dataclass(frozen=True, slots=True)
class Program:
    """One program.

    Attributes:
        name: in front of its log lines.
        arguments: of `kallback`.
        env: its settings.
        port: of the loopback, on which it accepts connections when it runs.
        health_port: where the console asks for its state; None without one.
        reloads: whether it imports the developer's modules, and so starts anew when one changes.
        is_own: whether it is the developer's.
        is_shown: whether its log lines are shown; of others they are if it ends.
        is_service: whether it is registered at Restate.
    """

    name: str
    arguments: tuple[str, ...]
    env: Mapping[str, str] = field(repr=False)
    port: int
    health_port: int | None = None
    reloads: bool = False
    is_own: bool = False
    is_shown: bool = True
    is_service: bool = False

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def health_url(self) -> str | None:
        """The address of its health port; None without one."""
        return None if self.health_port is None else f"http://127.0.0.1:{self.health_port}"

    def ports(self) -> dict[str, int]:
        """Its ports, each by a name that no other program has; bridge and worker have a health port alone."""
        own = [(self.name, self.port)] if "--port" in self.arguments else []
        health = [] if self.health_port is None else [(_health(self.name), self.health_port)]
        return dict([*own, *health])

    def moved_from(self, former_ports: Mapping[str, int]) -> str:
        """Say what follows if a service is not where handlers wait for it; empty if nothing does."""
        former = former_ports.get(self.name, self.port)
        if not self.is_service or former == self.port:
            return ""
        return (
            f"{self.name} listens on port {self.port}, and listened on {former} when this data was written. Handlers "
            f"that wait go on when it listens on {former} again: free that port, give no other, and start this anew."
        )


@dataclass(frozen=True, slots=True)
class ProgramSettings:
    """What programs are given.

    Attributes:
        variables: all settings, the signing key included.
        choose_port: gives a port: the first argument if it is wanted, else the second, or a free one.
        asked_ports: that were asked for, by the names of the ports: "console", "gateway", "bridge health" and "gateway
            health".
        former_ports: the same in the run whose data goes on: Restate knows services by their addresses, and handlers
            that wait are continued there.
        processes: addresses of further health ports for the console.
        creates_topics: whether workers' topics must be created.
    """

    variables: Mapping[str, str] = field(repr=False)
    choose_port: Callable[[int | None, int], int]
    asked_ports: Mapping[str, int] = field(default_factory=dict[str, int])
    former_ports: Mapping[str, int] = field(default_factory=dict[str, int])
    processes: tuple[str, ...] = ()
    creates_topics: bool = True

    def port(self, name: str, usual: int, wanted: int | None = None) -> int:
        """Choose the port of this name."""
        return self.choose_port(wanted or self.asked_ports.get(name), self.former_ports.get(name, usual))


def programs(application: Application, settings: ProgramSettings) -> list[Program]:
    """Return what runs: gateway and console always, the others for an application.

    Raises:
        ConfigurationError: an option is not text that a shell would take, or two programs were given the same port.
    """
    gateway = _gateway(application, settings)
    own = [*_workers(application, settings), *_services(application, settings, gateway)]
    bridges = [_bridge(settings)] if application.runs else []
    found = [gateway, _console(application, settings, [*bridges, gateway, *own]), *bridges, *own]
    _check_ports(found)
    return found


def asked_ports(application: Application) -> Iterator[int]:
    """Return the ports that a developer's own programs were given: no other program may take them.

    Raises:
        ConfigurationError: as `programs`.
    """
    texts = [(text, "--service") for text in application.services] + [
        (text, "--worker") for text in application.workers
    ]
    for text, kind in texts:
        words = _words(text, kind)
        for option in ("--port", "--health-port"):
            port = _port_in(words, option)
            if port is not None:
                yield port


def _check_ports(planned: Iterable[Program]) -> None:
    """Refuse a port that was asked for twice: the second program would end, after the first one has started."""
    names = dict[int, str]()
    for name, port in (each for program in planned for each in program.ports().items()):
        if (other := names.setdefault(port, name)) != name:
            raise ConfigurationError(f"{other} and {name} have the same port, {port}: give each its own")


def _health(name: str) -> str:
    return f"{name}{_HEALTH}"


def _gateway(application: Application, settings: ProgramSettings) -> Program:
    port = settings.port("gateway", GATEWAY_PORT)
    health = settings.port(_health("gateway"), _GATEWAY_HEALTH_PORT)
    return Program(
        "gateway",
        ("gateway", "--port", str(port), "--health-port", str(health), *_types(application)),
        settings.variables,
        port=port,
        health_port=health,
        reloads=bool(application.types),
        is_shown=False,
    )


def _console(application: Application, settings: ProgramSettings, others: Iterable[Program]) -> Program:
    port = settings.port("console", CONSOLE_PORT)
    healths = [*(f"{each.name}={each.health_url}" for each in others if each.health_url), *settings.processes]
    shown = tuple(f"--process={address}" for address in healths)
    return Program(
        "console",
        ("console", "--port", str(port), "--allow-changes", *shown, *_types(application)),
        settings.variables,
        port=port,
        reloads=bool(application.types),
        is_shown=False,
    )


def _bridge(settings: ProgramSettings) -> Program:
    health = settings.port(_health("bridge"), _BRIDGE_HEALTH_PORT)
    arguments = ("bridge", "--outcomes", "--health-port", str(health))
    return Program("bridge", arguments, settings.variables, port=health, health_port=health)


def _workers(application: Application, settings: ProgramSettings) -> Iterator[Program]:
    without_key = {name: text for name, text in settings.variables.items() if name != SIGNING}
    for name, text in _named("worker", application.workers):
        words = _words(text, "--worker")
        health = settings.port(_health(name), _WORKER_HEALTH_PORT, _port_in(words, "--health-port"))
        own = ("--drain-timeout", str(_DRAIN_TIMEOUT_S), "--health-port", str(health))
        topics = ("--create-topics",) if settings.creates_topics else ()
        yield Program(
            name,
            ("worker", *own, *topics, *words),  # a developer's options come last, and win
            without_key,
            port=health,
            health_port=health,
            reloads=True,
            is_own=True,
        )


def _services(application: Application, settings: ProgramSettings, gateway: Program) -> Iterator[Program]:
    env = {**settings.variables, "KALLBACK_GATEWAY_URL": gateway.url}
    for name, text in _named("service", application.services):
        words = _words(text, "--service")
        port = settings.port(name, SERVICE_PORT, _port_in(words, "--port"))
        health = settings.port(_health(name), _SERVICE_HEALTH_PORT, _port_in(words, "--health-port"))
        yield Program(
            name,
            ("service", *words, "--health-port", str(health), "--port", str(port)),
            env,
            port=port,
            health_port=health,
            reloads=True,
            is_own=True,
            is_service=True,
        )


def _types(application: Application) -> Iterator[str]:
    return (f"--types={each}" for each in application.types)


def _named(kind: str, texts: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    for number, text in enumerate(texts, 1):
        yield kind if len(texts) == 1 else f"{kind}-{number}", text


def _words(text: str, option: str) -> list[str]:
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise ConfigurationError(f"{option} {text!r} cannot be read ({error}): quote it as for a shell") from None
    if not words:
        raise ConfigurationError(f"{option} is empty: write MODULE:NAME, for example kitchen:{option[2:]}")
    return words


def _port_in(words: list[str], option: str) -> int | None:
    """Return the port that a developer gave a program; None: none, or 0, which stands for a free one."""
    given = [word.removeprefix(f"{option}=") for word in words if word.startswith(f"{option}=")]
    given += [after for word, after in pairwise([*words, ""]) if word == option]
    if not given:
        return None
    if not given[-1].isdecimal():
        raise ConfigurationError(f"{option} {given[-1]!r} of {words[0]} is no port: write a number, such as 21100")
    return int(given[-1]) or None
