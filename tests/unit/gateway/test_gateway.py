"""What a gateway answers, and what it writes to Kafka."""

from __future__ import annotations

import time
from unittest.mock import ANY

import msgspec
import orjson
import pytest
from tests.unit.bridge.factories import AUDIENCE
from tests.unit.gateway.environment import PROGRESS, GatewayEnv, client_of, post, problem

from kallback.kafka import OutgoingRecord, Position
from kallback.kafka.memory.clients import MemoryProducer
from kallback.lifecycle import LogThrottle
from kallback.protocol import (
    AccessDeniedError,
    AwakeableId,
    KafkaUnavailableError,
    Keyring,
    Problem,
    RecordTooLargeError,
    TaskType,
    completed_headers,
    failed_headers,
)
from kallback.settings import named_log
from kallback.testing.log_capture import capture_logs


class Plate(msgspec.Struct):
    """A result with a member."""

    minutes: int


BARE = AwakeableId("sign_1" + "A" * 32 + "AAAAEQ")


async def test_a_result_is_the_record_that_a_worker_writes(env: GatewayEnv) -> None:
    """Byte for byte, with the task id as key; 202 names the attempt."""
    token = env.make.token()
    text = env.make.sign(token)
    async with env.running() as gateway:
        answer = await post(gateway, "/v1/result", b'{"minutes": 1.10}', authorization=f"Bearer {text}")

    assert answer.status_code == 202
    assert answer.json() == {"status": "accepted", "type": token.task_type, "task": token.task_id, "attempt": 1}
    [record] = env.records()
    assert (record.key, record.value) == (token.task_id.encode(), b'{"minutes": 1.10}')
    assert tuple(record.headers) == completed_headers(text)


async def test_a_failure_is_a_failed_result(env: GatewayEnv) -> None:
    """With the client's problem object as it was sent."""
    text, body = env.make.sign(), Problem("OutOfStock", 422, "no basil").encode()
    async with env.running() as gateway:
        answer = await post(
            gateway, "/v1/failure", body, authorization=f"bearer {text}", content_type="application/problem+json"
        )

    assert answer.status_code == 202
    [record] = env.records()
    assert (record.value, tuple(record.headers)) == (body, failed_headers(text))


async def test_a_heartbeat_goes_to_the_progress_topic(env: GatewayEnv) -> None:
    """With the gateway's own time, and details if there are any."""
    text = env.make.sign()
    async with env.running() as gateway:
        answer = await post(gateway, "/v1/heartbeat", b'{"percent":40}', authorization=f"Bearer {text}")

    assert answer.status_code == 202
    assert env.records() == []
    [record] = env.records(PROGRESS)
    assert record.value == b'{"percent":40}'
    assert dict(record.headers) == {
        "kallback-token": text.encode(),
        "kallback-signal": b"heartbeat",
        "kallback-at": ANY,
    }


@pytest.mark.parametrize(
    ("suffix", "topic"), [("", AUDIENCE), ("/result", AUDIENCE), ("/failure", AUDIENCE), ("/heartbeat", PROGRESS)]
)
@pytest.mark.parametrize("colon", [":", "%3A"])
async def test_a_link_takes_a_post(env: GatewayEnv, suffix: str, topic: str, colon: str) -> None:
    """Without a header, also from clients that escape the token's colons."""
    text = env.make.sign()
    async with env.running() as gateway:
        answer = await post(gateway, f"/v1/{text.replace(':', colon)}{suffix}", b"{}")

    assert answer.status_code == 202
    [record] = env.records(topic)
    assert dict(record.headers)["kallback-token"] == text.encode()


@pytest.mark.parametrize("behind", [".", ",", ")", "%3E", "/", "/failure.", "/?utm_source=mail"])
async def test_what_a_mail_left_behind_a_link_is_no_part_of_it(env: GatewayEnv, behind: str) -> None:
    """A full stop, a bracket, a slash: no token and no action ends in one."""
    text = env.make.sign()
    async with env.running() as gateway:
        answer = await post(gateway, f"/v1/{text}{behind}", b"{}")

    assert answer.status_code == 202
    [record] = env.records()
    assert dict(record.headers)["kallback-token"] == text.encode()


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_opening_a_link_completes_nothing(env: GatewayEnv, method: str) -> None:
    """Programs that scan mails open each link: they get a page that says so."""
    text = env.make.sign()
    async with env.running() as gateway, client_of(gateway) as client:
        answer = await client.request(method, f"/v1/{text}")

    assert answer.status_code == 200
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert text not in answer.text
    assert env.records() == []


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "OPTIONS", "PATCH"])
async def test_only_post_acts(env: GatewayEnv, method: str) -> None:
    """Any other method is refused, also with a good token."""
    async with env.running() as gateway, client_of(gateway) as client:
        answer = await client.request(method, "/v1/result", headers={"authorization": f"Bearer {env.make.sign()}"})

    assert (answer.status_code, problem(answer), answer.headers["allow"]) == (405, "method-not-allowed", "POST")
    assert env.records() == []


@pytest.mark.parametrize("path", ["/", "/v1", "/v1/", "/v1/other", "/v2/result", "/v1/kb1:x/other", "//v1/result", "*"])
async def test_other_paths_have_nothing(env: GatewayEnv, path: str) -> None:
    """The sentence says what there is."""
    async with env.running() as gateway:
        answer = await post(gateway, path, authorization=f"Bearer {env.make.sign()}")

    assert (answer.status_code, problem(answer)) == (404, "not-found")
    assert "/v1/result" in answer.json()["detail"]


async def test_every_bad_token_has_the_same_answer(env: GatewayEnv) -> None:
    """Forged, of another environment, with an unknown key, bare: who holds one learns nothing of keys and topics."""
    good = env.make.sign()
    bad = [
        good[:-1] + ("A" if good[-1] != "A" else "B"),
        env.make.sign(audience="other.results"),
        env.make.sign(keyring=Keyring({"k9": b"9" * 32})),
        env.make.sign(keyring=Keyring.insecure()),
        BARE,
        "hello",
        "é",
        good + ":",
    ]
    async with env.running() as gateway:
        answers = [await post(gateway, "/v1/result", b"1", authorization=b"Bearer " + text.encode()) for text in bad]  # type: ignore[arg-type] # httpx takes bytes, too

    assert {answer.status_code for answer in answers} == {401}
    assert len({answer.content for answer in answers}) == 1
    assert problem(answers[0]) == "unverified-token"
    assert answers[0].headers["www-authenticate"] == "Bearer"
    assert env.records() == []


async def test_the_log_says_why_a_token_is_refused(env: GatewayEnv) -> None:
    """To the operator, with the reason and without the token."""
    text = env.make.sign(audience="other.results")
    async with env.running() as gateway:
        with capture_logs() as lines:
            await post(gateway, f"/v1/{text}", b"1")

    [line] = lines
    assert line["kind"] == "wrong-tag"
    assert text[-22:] not in str(line)


@pytest.mark.parametrize("header", [{}, {"authorization": "Basic x"}, {"authorization": "Bearer"}])
async def test_a_token_is_asked_for(env: GatewayEnv, header: dict[str, str]) -> None:
    """Without one, and with another kind of login."""
    async with env.running() as gateway:
        answer = await post(gateway, "/v1/result", b"1", **header)

    assert (answer.status_code, problem(answer)) == (401, "no-token")


async def test_two_tokens_are_refused(env: GatewayEnv) -> None:
    """One in the link and one in the header: neither counts."""
    async with env.running() as gateway:
        answer = await post(gateway, f"/v1/{env.make.sign()}", b"1", authorization=f"Bearer {env.make.sign()}")

    assert (answer.status_code, problem(answer)) == (400, "ambiguous-token")
    assert env.records() == []


async def test_an_answer_in_the_grace_is_accepted_and_told_so(env: GatewayEnv) -> None:
    """The gateway cannot know whether the handler still waits: its own timer decides. In time there is no detail."""
    token = env.make.token()
    passed = msgspec.structs.replace(token, deadline_ms=int((time.time() - 5) * 1000))
    async with env.running() as gateway:
        late = await post(gateway, "/v1/result", b"1", authorization=f"Bearer {env.make.sign(passed)}")
        timely = await post(gateway, "/v1/result", b"1", authorization=f"Bearer {env.make.sign(token)}")

    assert (late.status_code, timely.status_code) == (202, 202)
    assert "the deadline of the task has passed" in late.json()["detail"]
    assert "detail" not in timely.json()


async def test_a_late_answer_is_refused(env: GatewayEnv) -> None:
    """The client learns that the handler waits no longer, and nothing is written."""
    token = msgspec.structs.replace(env.make.token(), deadline_ms=1_000)
    async with env.running() as gateway:
        answer = await post(gateway, "/v1/result", b"1", authorization=f"Bearer {env.make.sign(token)}")

    assert (answer.status_code, problem(answer)) == (410, "late")
    assert env.records() == []


@pytest.mark.parametrize(
    ("path", "body", "kind"),
    [
        ("/v1/result", b"{", "not-json"),
        ("/v1/result", b"\xff", "not-json"),
        ("/v1/result", b"[" * 100_000, "not-json"),
        ("/v1/result", b"[" * 200_000, "not-json"),
        ("/v1/failure", b"3", "not-a-problem"),
        ("/v1/heartbeat", b"{", "invalid-details"),
        ("/v1/heartbeat", b'"' + b"x" * 20_000 + b'"', "invalid-details"),
    ],
)
async def test_an_unusable_body_is_refused_and_can_be_corrected(
    env: GatewayEnv, path: str, body: bytes, kind: str
) -> None:
    """Nothing is written, so the token is still good for the corrected one."""
    login = f"Bearer {env.make.sign()}"
    async with env.running() as gateway:
        refused = await post(gateway, path, body, authorization=login)
        corrected = await post(gateway, path, b"{}", authorization=login)

    assert (refused.status_code, problem(refused), corrected.status_code) == (422, kind, 202)
    assert len([*env.records(), *env.records(PROGRESS)]) == 1


@pytest.mark.parametrize("body", [b"", b" \n"])
async def test_an_empty_body_is_no_result(env: GatewayEnv, body: bytes) -> None:
    """A client that forgot it would use the token up; a failure and a heartbeat need none."""
    login = f"Bearer {env.make.sign()}"
    async with env.running() as gateway:
        refused = await post(gateway, "/v1/result", body, authorization=login)
        null = await post(gateway, "/v1/result", b"null", authorization=login)

    assert (refused.status_code, problem(refused), null.status_code) == (422, "empty-body", 202)
    assert "null" in refused.json()["detail"]
    assert [record.value for record in env.records()] == [b"null"]


async def test_a_result_that_does_not_fit_its_type_is_refused(env: GatewayEnv) -> None:
    """With the member that is wrong; the token stays good for the corrected one."""
    token = env.make.token()
    login = f"Bearer {env.make.sign(token)}"
    plate = TaskType(token.task_type, request=None, result=Plate)
    async with env.running(task_types={plate.name: plate}) as gateway:
        refused = await post(gateway, "/v1/result", b'{"minutes":"maybe"}', authorization=login)
        corrected = await post(gateway, "/v1/result", b'{"minutes":12}', authorization=login)

    assert (refused.status_code, problem(refused), corrected.status_code) == (422, "unfit-result", 202)
    assert "minutes" in refused.json()["detail"]
    assert [record.value for record in env.records()] == [b'{"minutes":12}']


async def test_failures_and_results_of_other_types_are_not_checked(env: GatewayEnv) -> None:
    """A failure has the form of a problem object; a type that the gateway does not know passes."""
    token = env.make.token()
    own, other = TaskType(token.task_type, request=None, result=Plate), TaskType("other", request=None, result=bool)
    async with env.running(task_types={own.name: own, other.name: other}) as gateway:
        failed = await post(gateway, "/v1/failure", b"{}", authorization=f"Bearer {env.make.sign(token)}")
        foreign = msgspec.structs.replace(env.make.token(), task_type="unknown")
        passed = await post(gateway, "/v1/result", b'"maybe"', authorization=f"Bearer {env.make.sign(foreign)}")

    assert (failed.status_code, passed.status_code) == (202, 202)


@pytest.mark.parametrize("media", ["application/x-www-form-urlencoded", "text/plain", "multipart/form-data", ""])
async def test_what_a_foreign_web_page_can_send_is_refused(env: GatewayEnv, media: str) -> None:
    """A browser sends these types across sites without asking."""
    async with env.running() as gateway:
        answer = await post(gateway, f"/v1/{env.make.sign()}", b"1", content_type=media)

    assert (answer.status_code, problem(answer)) == (415, "unsupported-media-type")
    assert env.records() == []


async def test_a_second_answer_is_written_too(env: GatewayEnv) -> None:
    """The bridge knows that it is a duplicate; a client that saw no answer may send again."""
    login = f"Bearer {env.make.sign()}"
    async with env.running() as gateway:
        answers = [await post(gateway, "/v1/result", b"1", authorization=login) for _ in range(2)]

    assert [answer.status_code for answer in answers] == [202, 202]
    assert len(env.records()) == 2


@pytest.mark.parametrize(
    ("error", "status", "kind"),
    [
        (KafkaUnavailableError("no answer"), 503, "kafka-unavailable"),
        (AccessDeniedError("no WRITE on secret-topic"), 503, "not-writable"),
        (RecordTooLargeError("1 MB"), 413, "too-large"),
        (ValueError("a defect"), 500, "internal"),
    ],
)
async def test_what_kafka_does_not_take_is_not_accepted(
    env: GatewayEnv, monkeypatch: pytest.MonkeyPatch, error: Exception, status: int, kind: str
) -> None:
    """202 only after the acknowledgement; the words of the client library stay in the log."""

    async def send(_: MemoryProducer, _record: OutgoingRecord) -> Position:
        raise error

    monkeypatch.setattr(MemoryProducer, "send", send)
    async with env.running() as gateway:
        answer = await post(gateway, "/v1/result", b"1", authorization=f"Bearer {env.make.sign()}")

    assert (answer.status_code, problem(answer)) == (status, kind)
    assert str(error) not in answer.text
    assert ("retry-after" in answer.headers) is (status != 413)
    assert orjson.loads(answer.content)["retryable"] is (status != 413)


async def test_a_defect_is_logged_with_its_traceback(
    env: GatewayEnv, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The client is told that the log says why; the reason alone does not say where."""

    async def send(_: MemoryProducer, _record: OutgoingRecord) -> Position:
        raise ValueError("a defect")

    monkeypatch.setattr(MemoryProducer, "send", send)
    monkeypatch.setattr("kallback.web.connection._throttle", LogThrottle(named_log("kallback.web")))
    async with env.running() as gateway:
        await post(gateway, "/v1/result", b"1", authorization=f"Bearer {env.make.sign()}")

    assert 'raise ValueError("a defect")' in caplog.text


async def test_a_client_that_sends_too_often_waits(env: GatewayEnv) -> None:
    """The third request of a burst of two is refused, and says when the next one may come."""
    async with env.running(burst=2, requests_per_second=0.001) as gateway:
        answers = [await post(gateway, "/v1/result", b"1", authorization="Bearer x") for _ in range(3)]

    assert [answer.status_code for answer in answers] == [401, 401, 429]
    assert problem(answers[2]) == "too-many-requests"
    assert int(answers[2].headers["retry-after"]) > 100


async def test_behind_a_proxy_each_client_has_its_own_limit(env: GatewayEnv) -> None:
    """The last address of the header that the proxy sets; the client cannot choose it."""
    async with env.running(burst=1, requests_per_second=0.001, client_header="X-Forwarded-For") as gateway:
        one = await post(gateway, "/v1/x", x_forwarded_for="1.1.1.1, 192.0.2.1")
        other = await post(gateway, "/v1/x", x_forwarded_for="192.0.2.2")
        again = await post(gateway, "/v1/x", x_forwarded_for="2.2.2.2, 192.0.2.1")

    assert [one.status_code, other.status_code, again.status_code] == [404, 404, 429]
