"""Whether a service is the bridge's own, asked on a server of HTTP that answers what a test says."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from tests.unit.bridge.hostile_server import HostileServer
from tests.unit.settings.rotating_keys import RotatingKeys

from kallback.bridge.restate.services import (
    ServiceAnswer,
    ServiceCheck,
    ServiceState,
    foreign_service,
    incomplete_service,
)
from kallback.protocol import Heard, Keyring, Outcome, UnverifiedError
from kallback.protocol.tokens import Token
from kallback.settings import RestateSettings

OLD, NEW = Keyring({"k1": b"1" * 32}), Keyring({"k2": b"2" * 32})
ROTATING = Keyring({"k2": b"2" * 32, "k1": b"1" * 32})
AUDIENCE = "team-a.results"


def http(status: int, body: object = "") -> bytes:
    """An answer."""
    text = body if isinstance(body, bytes) else json.dumps(body).encode()
    return b"HTTP/1.1 %d X\r\ncontent-length: %d\r\n\r\n%b" % (status, len(text), text)


async def ask(
    hostile: HostileServer, answer: bytes, *, keyring: Keyring = OLD, notifier: bool = False
) -> ServiceAnswer:
    """Ask one service, which answers this."""
    hostile.answers(answer)
    settings = RestateSettings(hostile.url)
    if notifier:
        check = ServiceCheck(settings, keyring, AUDIENCE, notifiers=["S"])
    else:
        check = ServiceCheck(settings, keyring, AUDIENCE, monitors=["S"])
    (found,) = await check.ask()
    return found


def asked(hostile: HostileServer, keyring: Keyring) -> Token:
    """The verified token of the last question."""
    heard = json.loads(hostile.requests[-1].partition(b"\r\n\r\n")[2])
    return keyring.verify(heard["token"], AUDIENCE)


async def test_a_monitor_is_sent_a_heartbeat_of_a_task_that_does_not_exist(hostile: HostileServer) -> None:
    """It is signed, and it changes nothing at a service that verifies it."""
    assert (await ask(hostile, http(200))).state is ServiceState.OWN
    head, _, body = hostile.requests[-1].partition(b"\r\n\r\n")
    assert head.startswith(f"POST /S/{asked(hostile, OLD).task_id}/progress HTTP/1.1\r\n".encode())
    assert set(json.loads(body)) == set(Heard.__struct_fields__) - {"details", "partitions"}


@pytest.mark.parametrize(
    ("status", "state"),
    [
        (400, ServiceState.FOREIGN),
        (404, ServiceState.MISSING),
        (401, ServiceState.DENIED),
        (403, ServiceState.DENIED),
        (503, ServiceState.UNKNOWN),
    ],
)
async def test_what_a_refusal_of_a_monitor_says(hostile: HostileServer, status: int, state: ServiceState) -> None:
    """Only a token that was looked at says whose service it is."""
    answer = await ask(hostile, http(status, {"code": status, "message": "the reason"}))
    assert answer == ServiceAnswer("S", state, f"{status}: the reason", takes_progress=True)


@pytest.mark.parametrize("outcome", list(Outcome))
async def test_what_a_verdict_of_a_notifier_says(hostile: HostileServer, outcome: Outcome) -> None:
    """Every verdict but one shows that the token was verified."""
    answer = await ask(hostile, http(200, {"outcome": outcome, "detail": "why"}), notifier=True)
    assert answer.state is (ServiceState.FOREIGN if outcome is Outcome.UNVERIFIED else ServiceState.OWN)


@pytest.mark.parametrize(
    ("answer", "state"),
    [
        (http(200, b"<html>"), ServiceState.UNREADABLE),
        (http(400, {"message": "no body"}), ServiceState.NOT_RESTATES),
        (http(400, {"code": 400, "message": "a path"}), ServiceState.UNKNOWN),
        (
            http(400, {"code": 400, "message": "Failed to decode input using journal value codec"}),
            ServiceState.FOREIGN,
        ),
    ],
)
async def test_what_is_no_verdict_says_nothing(hostile: HostileServer, answer: bytes, state: ServiceState) -> None:
    """Such as the page of a proxy."""
    assert (await ask(hostile, answer, notifier=True)).state is state


@pytest.mark.parametrize("status", [200, 400, 404])
async def test_the_page_of_a_proxy_is_no_answer_of_a_monitor(hostile: HostileServer, status: int) -> None:
    """A bridge does not end because of it, and a login page is no service of its own."""
    assert (await ask(hostile, http(status, b"<html>"))).state is ServiceState.NOT_RESTATES


async def test_a_service_that_knows_one_of_the_keys_is_own(hostile: HostileServer) -> None:
    """Bridges get a new key first: services that know only the old one are theirs all the same, and it is named."""
    seen = list[str]()

    async def script(_: object, writer: object) -> None:
        try:
            asked(hostile, OLD)
            answer = http(200)
        except UnverifiedError as error:
            answer = http(400, {"code": 400, "message": str(error)})
        seen.append(str(answer[9:12], "ascii"))
        writer.write(answer)  # type: ignore[attr-defined]  # a StreamWriter

    hostile.script = script
    (found,) = await ServiceCheck(RestateSettings(hostile.url), ROTATING, AUDIENCE, monitors=["S"]).ask()
    assert (seen, found.state, found.unknown_keys) == (["400", "200"], ServiceState.OWN, ("k2",))


async def test_questions_are_signed_with_the_keys_of_now(
    hostile: HostileServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bridge that went on with the keys of its start called its own service a foreign one after a rotation."""
    monkeypatch.setattr("kallback.settings.files.secret_file._LOOK_INTERVAL_S", 0.0)
    keys = RotatingKeys(tmp_path)
    check = ServiceCheck(RestateSettings(hostile.url), keys.keyring, AUDIENCE, monitors=["S"])
    hostile.answers(http(200))
    keys.rotate()

    await check.ask()

    assert asked(hostile, keys.new).attempt == 1


async def test_a_service_that_does_not_answer_is_unknown(
    hostile: HostileServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its deployment may be down; the start of a bridge does not wait for it."""
    monkeypatch.setattr("kallback.bridge.restate.services._TIMEOUT_S", 0.05)

    async def silent(*_: object) -> None:
        """Answer nothing."""

    hostile.script = silent
    (found,) = await ServiceCheck(RestateSettings(hostile.url), NEW, AUDIENCE, monitors=["S"]).ask()
    assert found._replace(waiting="") == ServiceAnswer(
        "S", ServiceState.UNKNOWN, "no answer within 0.05 s", takes_progress=True
    )
    assert f"idempotency-key: {found.waiting}\r\n".encode() in hostile.requests[-1]


async def test_who_asks_the_same_waits_for_the_same_invocation(hostile: HostileServer) -> None:
    """A question to a service that is not there waits in Restate: each one more would be one more invocation."""
    now = [1_800_000_000.0]

    async def question(keyring: Keyring, audience: str = AUDIENCE, codec: str = "") -> tuple[bytes, ...]:
        settings = RestateSettings(hostile.url, journal_value_codec=codec)
        await ServiceCheck(settings, keyring, audience, notifiers=["S"], monitors=["S"], clock=lambda: now[0]).ask()
        lines = [request.partition(b"\r\n\r\n")[0].split(b"\r\n") for request in hostile.requests[-2:]]
        return tuple(sorted(line for each in lines for line in each if line.startswith((b"POST", b"idempotency-key"))))

    hostile.answers(http(200, {"outcome": "delivered"}))
    first = await question(OLD)
    now[0] += 60
    assert await question(OLD) == first
    others = [await question(NEW), await question(OLD, "team-b.results")]
    others.append(await question(OLD, codec="tests.unit.bridge.restate.test_services:CODEC"))
    now[0] += 600
    others.append(await question(OLD))
    assert len({first, *others}) == 5
    assert len({each for key in (first, *others) for each in key if each.startswith(b"idem")}) == 5


class _Codec:
    def encode(self, value: bytes) -> bytes:
        """Return it as it is."""
        return value

    async def decode(self, value: bytes) -> bytes:
        """Return it as it is."""
        return value


CODEC = _Codec()


async def test_a_restate_that_is_not_there_says_nothing_of_its_services() -> None:
    """A bridge may be started before its Restate; to start a service would not help."""
    settings = RestateSettings("http://127.0.0.1:9")
    (found,) = await ServiceCheck(settings, NEW, AUDIENCE, monitors=["S"]).ask()
    assert found.state is ServiceState.UNREACHABLE


def test_the_sentence_names_the_service_and_the_remedy() -> None:
    """It can be acted on without the source."""
    answers = [ServiceAnswer("A", ServiceState.OWN), ServiceAnswer("B", ServiceState.FOREIGN, "unknown key")]
    sentence = foreign_service(answers, "http://restate")
    assert sentence is not None
    assert sentence.startswith("B at http://restate does not verify this bridge's tokens (unknown key)")
    assert "KALLBACK_TOPICS_PREFIX" in sentence
    assert foreign_service(answers[:1], "http://restate") is None


@pytest.mark.parametrize(
    ("said", "sentence"),
    [
        ("400: Failed to decode input using journal value codec", "B at http://restate cannot decode what this bridge"),
        ("400: the body is no Heard: JSON is malformed", "B at http://restate cannot read what this bridge sends"),
    ],
)
def test_a_codec_that_does_not_fit_is_named(said: str, sentence: str) -> None:
    """The first text is that of Restate's SDK, the second that of `TaskMonitor`."""
    told = foreign_service([ServiceAnswer("B", ServiceState.FOREIGN, said)], "http://restate")
    assert told is not None
    assert told.startswith(sentence)
    assert "KALLBACK_RESTATE_JOURNAL_VALUE_CODEC" in told


async def test_the_environments_own_monitor_takes_progress() -> None:
    """Not the one under the old name, which is told the same, and not `NotifierService`."""
    settings = RestateSettings("http://127.0.0.1:9")
    found = await ServiceCheck(settings, NEW, AUDIENCE, monitors=["M.own", "M"], notifiers=["N"]).ask()
    assert [(each.service, each.takes_progress) for each in found] == [("M.own", True), ("M", False), ("N", False)]


@pytest.mark.parametrize(
    ("status", "state"), [(200, ServiceState.OWN), (404, ServiceState.INCOMPLETE), (503, ServiceState.OWN)]
)
async def test_a_monitor_without_its_marks_is_incomplete(
    hostile: HostileServer, status: int, state: ServiceState
) -> None:
    """It would notice no lost worker; what says nothing about the marks changes nothing."""
    said = {b"POST /Mo": http(200), b"POST /Ma": http(status, {"code": status, "message": "the reason"})}

    async def script(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(said[hostile.requests[-1][:8]])

    hostile.script = script
    settings = RestateSettings(hostile.url)
    (found,) = await ServiceCheck(settings, NEW, AUDIENCE, monitors=["Monitor"], marks="Marks").ask()
    assert found.state is state
    assert hostile.requests[-1].startswith(b"POST /Marks/kallback.service-check/read ")
    if state is ServiceState.INCOMPLETE:
        assert incomplete_service(found).startswith("Restate does not know Marks, which Monitor calls")
