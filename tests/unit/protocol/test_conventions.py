"""Worker frameworks: what a bridge reads of each, and which headers tasks have for it."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any

import pytest

from kallback.protocol import (
    Completed,
    ConfigurationError,
    Convention,
    Failed,
    FailureMarks,
    Problem,
    UnusableResultError,
    UnverifiedError,
    read_conventions,
    read_result,
)
from kallback.protocol.frameworks.conventions import TABLE, read_convention, task_headers_of
from kallback.protocol.problems import UNEXPECTED_ERROR

TOKEN = "kb1:x"
OWN = ("kallback-token", b"kb1:x")
SPRING = ("kafka_correlationId", b"kb1:x")
DLT = (
    ("kafka_dlt-exception-fqcn", b"org.springframework.kafka.listener.ListenerExecutionFailedException"),
    ("kafka_dlt-exception-cause-fqcn", b"com.example.OutOfStock"),
    ("kafka_dlt-exception-message", b"no basil"),
)


def problem_of(value: bytes | None, *headers: tuple[str, bytes | None], conventions: str = "") -> Problem:
    """The failure that a record is."""
    chosen = read_conventions([conventions] if conventions else [])
    answer = read_result(value, headers, chosen).answer("restaurant.prepare")
    assert isinstance(answer, Failed)
    return answer.problem()


def event(**attributes: Any) -> bytes:
    """A CloudEvent in structured mode."""
    usual = {"specversion": "1.0", "id": "e-1", "source": "/kitchen", "type": "prepared", "correlationid": TOKEN}
    return json.dumps({**usual, **attributes}).encode()


@pytest.mark.parametrize("convention", Convention)
def test_the_token_is_found_under_the_name_of_each_framework(convention: Convention) -> None:
    """It echoes its correlation id and nothing else."""
    found = read_result(b"7", [(TABLE[convention].correlation_id, b"kb1:x")])
    assert (found.token, found.answer()) == (TOKEN, Completed(b"7"))


def test_the_first_framework_of_the_table_counts() -> None:
    """A worker that copies all headers copies older correlation ids of others, too."""
    headers = [("ce_correlationid", b"kb1:event"), ("correlation_id", b"kb1:fast"), ("kafka_correlationId", b"kb1:x")]
    assert read_result(b"7", headers).token == TOKEN


@pytest.mark.parametrize("convention", [Convention.SMALLRYE, Convention.FASTSTREAM, Convention.CLOUDEVENTS])
def test_a_correlation_id_that_is_no_token_is_ignored(convention: Convention) -> None:
    """It has another purpose."""
    with pytest.raises(UnverifiedError, match="no token"):
        read_result(b"7", [(TABLE[convention].correlation_id, b"b3a7")])


def test_two_tokens_under_one_name_are_ambiguous() -> None:
    """Whichever was meant, the other one is wrong."""
    with pytest.raises(UnverifiedError, match="different tokens"):
        read_result(b"7", [("correlation_id", b"kb1:x"), ("correlation_id", b"kb1:y")])


def test_smallrye_marks_an_error_as_its_documentation_does() -> None:
    """The header's text is the detail."""
    assert problem_of(b"null", OWN, ("REPLY_ERROR", b"no basil")).detail == "no basil"


def test_an_rpc_exception_of_nestjs_keeps_its_members() -> None:
    """`throw new RpcException({type: 'OutOfStock', ...})`: callers branch on the type."""
    thrown = b'{"type":"OutOfStock","status":422,"detail":"no basil","retryable":false,"shelf":"B4"}'
    found = problem_of(None, SPRING, ("kafka_nest-err", thrown))
    assert (found.type, found.status, found.detail, found.retryable) == ("OutOfStock", 422, "no basil", False)
    assert found.extensions == {"shelf": "B4"}


@pytest.mark.parametrize("member", ["status", "statusCode"])
def test_an_http_exception_of_nestjs_keeps_its_code(member: str) -> None:
    """A bad request is not retried."""
    thrown = json.dumps({member: 400, "message": ["id must be a string", "items is empty"], "error": "Bad Request"})
    found = problem_of(None, SPRING, ("kafka_nest-err", thrown.encode()))
    assert (found.status, found.detail) == (400, "id must be a string; items is empty")
    assert found.extensions == {"error": "Bad Request"}


@pytest.mark.parametrize(
    ("response", "detail"),
    [
        ({"message": ["id must be set"]}, "id must be set"),
        ({}, "Bad Request Exception"),
        ("no", "Bad Request Exception"),
    ],
)
def test_an_http_exception_in_an_rpc_exception_says_what_was_said(response: object, detail: str) -> None:
    """`new RpcException(new BadRequestException([...]))`: its own message is only the class's name."""
    thrown = {"response": response, "status": 400, "message": "Bad Request Exception", "name": "BadRequestException"}
    found = problem_of(None, SPRING, ("kafka_nest-err", json.dumps(thrown).encode()))
    assert (found.status, found.detail) == (400, detail)


def test_an_error_that_nests_deep_is_a_failure_all_the_same() -> None:
    """What cannot be read of it stays a text."""
    thrown = b'{"a":' * 600 + b"1" + b"}" * 600
    assert problem_of(None, SPRING, ("kafka_nest-err", thrown)).detail.startswith('{"a":{"a":')


@pytest.mark.parametrize(
    ("value", "read"),
    [(b"ready", b'"ready"'), (b"it's \xf0\x9f\x8d\x95", '"it\'s 🍕"'.encode()), (b"7", b"7"), (b"", b"null")],
)
def test_a_text_of_nestjs_has_no_quotes(value: bytes, read: bytes) -> None:
    """Its serializer writes texts as they are; what is JSON stays what it is."""
    assert read_result(value, [SPRING, ("kafka_nest-is-disposed", b"\0")]).answer() == Completed(read)


@pytest.mark.parametrize(("value", "read"), [(b"ready", b'"ready"'), (b"7", b'"7"'), (b"", b'""')])
def test_a_text_of_faststream_says_so(value: bytes, read: bytes) -> None:
    """The content type tells a text from a number."""
    headers = [("correlation_id", b"kb1:x"), ("content-type", b"text/plain")]
    assert read_result(value, headers).answer() == Completed(read)


@pytest.mark.parametrize(("value", "read"), [(b"ready", b'"ready"'), (b"7", b"7"), (b'{"a": 1}', b'{"a": 1}')])
@pytest.mark.parametrize("media", [b"text/plain", b" Text/Plain;charset=UTF-8"])
def test_a_text_of_a_cloudevent_has_no_quotes(media: bytes, value: bytes, read: bytes) -> None:
    """As in structured mode, where its data is a JSON text; what is JSON stays what it is."""
    headers = [("ce_correlationid", b"kb1:x"), ("ce_specversion", b"1.0"), ("content-type", media)]
    assert read_result(value, headers).answer() == Completed(read)


@pytest.mark.parametrize("header", [OWN, SPRING])
def test_the_content_type_of_others_says_nothing(header: tuple[str, bytes]) -> None:
    """Workers set it by habit."""
    with pytest.raises(UnusableResultError, match="not JSON"):
        read_result(b"ready", [header, ("content-type", b"text/plain")]).answer()


@pytest.mark.parametrize(
    "headers",
    [[("correlation_id", b"kb1:x"), ("content-type", b"text/plain")], [SPRING, ("kafka_nest-is-disposed", b"")]],
)
def test_bytes_that_are_no_text_are_unusable(headers: list[tuple[str, bytes | None]]) -> None:
    """There is no JSON for them."""
    with pytest.raises(UnusableResultError, match="not JSON"):
        read_result(b"\xff", headers).answer()


def test_a_request_that_spring_gave_up_is_a_failure() -> None:
    """The value is the request: it is neither the result nor the problem."""
    found = problem_of(b'{"id":"o-1","detail":"of the order"}', OWN, *DLT)
    assert (found.type, found.detail) == (UNEXPECTED_ERROR, "no basil")
    assert found.extensions == {
        "exception": [
            "com.example.OutOfStock",
            "org.springframework.kafka.listener.ListenerExecutionFailedException",
        ]
    }


def test_an_exception_without_a_message_is_a_failure() -> None:
    """The class is all that Spring says."""
    found = problem_of(b"{}", OWN, ("kafka_dlt-exception-fqcn", b"java.lang.NullPointerException"))
    assert found.detail == "the worker reported an error without saying why"


def test_a_request_whose_key_spring_could_not_read_is_a_failure() -> None:
    """Its `DeadLetterPublishingRecoverer` has other names for that, and adds none of the usual ones but the cause."""
    key = (
        ("kafka_dlt-key-exception-fqcn", b"org.springframework.kafka.support.serializer.DeserializationException"),
        ("kafka_dlt-key-exception-message", b"failed to deserialize"),
    )
    found = problem_of(b'{"id":"o-1"}', OWN, *key)
    assert (found.type, found.detail) == (UNEXPECTED_ERROR, "failed to deserialize")
    assert found.extensions == {"exception": ["org.springframework.kafka.support.serializer.DeserializationException"]}


@pytest.mark.parametrize(
    ("headers", "detail", "classes"),
    [
        ({"x-exception-message": "no basil", "x-exception-fqcn": "com.example.OutOfStock"}, "no basil", 1),
        (
            {
                "dead-letter-exception-class-name": "io.smallrye.reactive.messaging.ProcessingException",
                "dead-letter-reason": "no basil",
                "dead-letter-cause-class-name": "com.example.OutOfStock",
                "dead-letter-topic": "orders",
            },
            "no basil",
            2,
        ),
        (
            {
                "__connect.errors.topic": "orders",
                "__connect.errors.exception.class.name": "org.apache.kafka.connect.errors.DataException",
                "__connect.errors.exception.message": "no basil",
            },
            "no basil",
            1,
        ),
        ({"MT-Fault-ExceptionType": "Shop.OutOfStock", "MT-Fault-Message": "no basil"}, "no basil", 1),
        ({"kafka_dlt-exception-message": "no basil", "kafka_dlt-original-topic": "orders"}, "no basil", 0),
        ({"kafka_dlt-original-topic": "orders"}, "the worker reported an error without saying why", 0),
        ({"springDeserializerExceptionValue": "\xac\xed"}, "the worker reported an error without saying why", 0),
    ],
)
def test_a_request_that_a_framework_gave_up_is_a_failure(headers: dict[str, str], detail: str, classes: int) -> None:
    """Its dead letter came to the results topic: the value is the request, and the headers say why."""
    found = problem_of(b'{"id":"o-1","detail":"of the order"}', OWN, *[(n, v.encode()) for n, v in headers.items()])
    assert (found.type, found.detail) == (UNEXPECTED_ERROR, detail)
    assert len(found.extensions.get("exception", [])) == classes


@pytest.mark.parametrize("conventions", ["", "spring:x-error"])
def test_an_error_header_beside_a_request_that_was_given_up_makes_no_problem_of_it(conventions: str) -> None:
    """A recoverer may add headers of the application; the value is the request all the same."""
    marked = (("serverSentAnError", b"true"), ("x-error", b"true"))
    assert problem_of(b'{"id":"o-1"}', OWN, *marked, *DLT, conventions=conventions).detail == "no basil"


@pytest.mark.parametrize(
    "name",
    ["kafka_exception-fqcn", "kafka_original-topic", "kafka_dlt-original-consumer-group", "delayed-retry-reason"],
)
def test_what_retries_left_in_a_result_is_no_failure(name: str) -> None:
    """A worker that copies all headers, and that succeeded in the end."""
    assert read_result(b"7", [OWN, (name, b"com.example.OutOfStock")]).answer() == Completed(b"7")


def test_a_dead_letter_of_kallback_is_no_failure_of_the_worker() -> None:
    """It carries the names that Spring's tools look for, and was a result."""
    headers = [OWN, ("kallback-dead-reason", b"late"), *DLT]
    assert read_result(b"7", headers).answer() == Completed(b"7")


def test_the_header_says_why_where_the_value_does_not() -> None:
    """An error reply with an object that has no detail."""
    found = problem_of(b'{"shelf":"B4"}', SPRING, ("serverSentAnError", b"no basil"))
    assert (found.detail, found.extensions) == ("no basil", {"shelf": "B4"})


def test_a_problem_object_stays_byte_for_byte() -> None:
    """It says why itself."""
    problem = b'{"type":"OutOfStock", "price":1.10, "detail":"no basil"}'
    assert read_result(problem, [SPRING, ("serverSentAnError", b"no")]).answer() == Failed(problem)
    assert read_result(b"{}", [SPRING, ("serverSentAnError", b"true")]).answer() == Failed(b"{}")


def test_an_object_that_cannot_be_read_is_unusable() -> None:
    """The caller is told."""
    with pytest.raises(UnusableResultError):
        read_result(b"{broken", [SPRING, ("serverSentAnError", b"no basil")]).answer()


@pytest.mark.parametrize("text", ["spring:x-error", "restaurant.prepare=smallrye:x-failed,x-error"])
def test_an_application_chooses_its_error_headers(text: str) -> None:
    """The bridge is told their names."""
    assert problem_of(b'"FAILED"', SPRING, ("x-error", b"true"), conventions=text).detail == "FAILED"


@pytest.mark.parametrize("value", [b"false", b"False", b'"false"'])
def test_a_header_that_denies_an_error_marks_none(value: bytes) -> None:
    """Some applications set it on each reply."""
    found = read_result(b"7", [SPRING, ("x-error", value)], read_conventions(["spring:x-error"]))
    assert found.answer() == Completed(b"7")


def test_a_detected_header_that_the_bridge_is_told_can_deny_an_error() -> None:
    """Spring's manual asks whether the header is there; an application that sets it on each reply says so."""
    denied = [SPRING, ("serverSentAnError", b"false")]
    assert isinstance(read_result(b"7", denied).answer(), Failed)
    told = read_conventions(["spring:serverSentAnError"])
    assert read_result(b"7", denied, told).answer() == Completed(b"7")
    assert isinstance(read_result(b"7", [SPRING, ("serverSentAnError", b"true")], told).answer(), Failed)


def test_the_error_header_of_one_type_means_nothing_for_another() -> None:
    """Their workers are not the same."""
    chosen = read_conventions(["shop.pack=spring:x-error"])
    found = read_result(b"7", [SPRING, ("x-error", b"true")], chosen)
    assert isinstance(found.answer("shop.pack"), Failed)
    assert found.answer("restaurant.prepare") == Completed(b"7")


def test_detection_can_be_switched_off() -> None:
    """With `kallback` only the status header counts."""
    for headers in ([SPRING, ("kafka_nest-err", b"no")], [OWN, *DLT]):
        assert read_result(b"7", headers, read_conventions(["kallback"])).answer() == Completed(b"7")


def test_one_convention_can_be_that_of_all_workers() -> None:
    """With the error headers of the application; a task type has no place in it."""
    convention, conventions = read_convention("faststream:x-error")
    assert (convention, conventions) == (Convention.FASTSTREAM, read_conventions(["faststream:x-error"]))
    with pytest.raises(ConfigurationError, match="'t=spring' is not known"):
        read_convention("t=spring")


def test_several_conventions_of_one_type_add_up() -> None:
    """A topic can have workers of two frameworks."""
    chosen = read_conventions(["t=spring:x-a", "t=faststream:x-b", "t=cloudevents:no.basil", "nestjs"])
    assert chosen.of("t") == FailureMarks(
        detected=True, headers=frozenset({"x-a", "x-b"}), event_types=frozenset({b"no.basil"})
    )
    assert chosen.of("other") == FailureMarks()


@pytest.mark.parametrize(
    ("texts", "sentence"),
    [
        (["rails"], "'rails' is not known: use one of kallback, spring, nestjs"),
        (["=spring"], "write the task type before '='"),
        (["spring:a,"], "one of the error headers is empty"),
        (["cloudevents:a,,b"], "one of the event types is empty"),
        (["nestjs:x-error"], "nestjs takes no names"),
        (["spring:kallback-token"], "kallback-token has another meaning"),
        (["t=kallback", "t=nestjs"], "kallback of t contradicts the others"),
        (["kallback", "nestjs"], "kallback of all task types contradicts"),
    ],
)
def test_a_convention_that_cannot_be_meant_is_refused(texts: list[str], sentence: str) -> None:
    """The sentence says which and why."""
    with pytest.raises(ConfigurationError, match=sentence):
        read_conventions(texts)


def test_a_cloudevent_in_structured_mode_has_its_token_and_data_in_the_value() -> None:
    """The attributes are members; the data is the answer, byte for byte."""
    value = b'{"specversion":"1.0","correlationid":"kb1:x","type":"prepared","data":{"price":1.10}}'
    found = read_result(value, ())
    assert (found.token, found.answer()) == (TOKEN, Completed(b'{"price":1.10}'))


def test_a_cloudevent_with_headers_as_well_is_read_from_its_value() -> None:
    """The binding allows the headers of binary mode beside a structured value."""
    headers = [("content-type", b"application/CloudEvents+json; charset=UTF-8"), ("ce_correlationid", b"kb1:x")]
    assert read_result(event(data=7), headers).answer() == Completed(b"7")
    assert read_result(event(data=7), headers[1:]).answer() == Completed(event(data=7))
    assert read_result(b"7", headers).answer() == Completed(b"7")


EVENT = ("content-type", b"application/cloudevents+json")


@pytest.mark.parametrize("convention", [each for each in Convention if each is not Convention.KALLBACK])
def test_a_framework_that_replies_with_a_cloudevent_answers_with_its_data(convention: Convention) -> None:
    """The correlation id says whose answer it is, the content type how it is written: both count."""
    correlation_id = (TABLE[convention].correlation_id, b"kb1:x")
    found = read_result(event(data=7, correlationid="kb1:another"), [correlation_id, EVENT])
    assert (found.token, found.answer()) == (TOKEN, Completed(b"7"))
    assert problem_of(event(kallbackstatus="failed", data={"type": "OutOfStock"}), correlation_id, EVENT).type == (
        "OutOfStock"
    )


def test_an_error_header_beside_a_cloudevent_marks_its_data_as_the_problem() -> None:
    """As it does beside any other value."""
    assert problem_of(event(data={"detail": "no basil"}), SPRING, ("serverSentAnError", b"true"), EVENT).detail == (
        "no basil"
    )


def test_a_cloudevent_beside_our_own_header_is_the_result_as_a_whole() -> None:
    """With it the worker speaks kallback's wire, where the value is the answer."""
    assert read_result(event(data=7), [OWN, EVENT]).answer() == Completed(event(data=7))
    assert read_result(event(data=7), [OWN, SPRING, EVENT]).answer() == Completed(event(data=7))


@pytest.mark.parametrize(
    ("data", "read"),
    [
        ({"data": {"a": 1}}, b'{"a": 1}'),
        ({"data_base64": base64.b64encode(b'{"a":1.10}').decode()}, b'{"a":1.10}'),
        ({"data_base64": None}, b"null"),
        ({}, b"null"),
    ],
)
def test_the_data_of_a_cloudevent_can_be_in_base64(data: Mapping[str, Any], read: bytes) -> None:
    """An event without data is the result null."""
    assert read_result(event(**data), ()).answer() == Completed(read)


@pytest.mark.parametrize("data", [5, "12", "%%%"])
def test_data_that_is_no_base64_is_unusable(data: object) -> None:
    """It is never taken for JSON."""
    with pytest.raises(UnusableResultError):
        read_result(event(data_base64=data), ()).answer()


def test_a_failed_cloudevent_has_a_status() -> None:
    """The extension kallbackstatus: a member in structured mode, a header in binary mode."""
    assert problem_of(event(kallbackstatus="failed", data={"detail": "no basil"})).detail == "no basil"
    binary = [("ce_correlationid", b"kb1:x"), ("ce_kallbackstatus", b"failed")]
    assert problem_of(b'{"detail":"no basil"}', *binary).detail == "no basil"


@pytest.mark.parametrize("status", [5, ["failed"], "x" * 5000])
def test_a_status_that_is_no_text_is_unusable(status: object) -> None:
    """It never passes as completed."""
    with pytest.raises(UnusableResultError, match="neither"):
        read_result(event(kallbackstatus=status), ()).answer()


def test_an_attribute_of_an_event_that_is_null_is_not_set() -> None:
    """The JSON format says so (2.2), and some libraries write all that they know."""
    nothing = dict.fromkeys(("kallbackstatus", "datacontenttype", "subject", "time", "data_base64"))
    assert read_result(event(**nothing, data=7), ()).answer() == Completed(b"7")
    encoded = base64.b64encode(b"7").decode()
    assert read_result(event(**{**nothing, "data": None, "data_base64": encoded}), ()).answer() == Completed(b"7")


@pytest.mark.parametrize(("data", "read"), [(b"ready", b'"ready"'), (b'"ready"', b'"ready"'), (b"7", b"7")])
def test_a_text_of_an_event_in_base64_has_no_quotes(data: bytes, read: bytes) -> None:
    """As in binary mode; what is JSON stays what it is."""
    found = event(datacontenttype="Text/Plain; charset=utf-8", data_base64=base64.b64encode(data).decode())
    assert read_result(found, ()).answer() == Completed(read)


@pytest.mark.parametrize("structured", [True, False])
def test_a_type_of_cloudevents_can_mean_failure(structured: bool) -> None:  # noqa: FBT001 - a case
    """The bridge is told which; others are results."""
    data = b'"no basil"'
    binary = [("ce_correlationid", b"kb1:x"), ("ce_type", b"com.example.failed")]
    value, headers = (event(type="com.example.failed", data="no basil"), []) if structured else (data, binary)
    chosen = "cloudevents:com.example.refused,com.example.failed"
    assert problem_of(value, *headers, conventions=chosen).detail == "no basil"
    assert read_result(value, headers).answer() == Completed(data)


@pytest.mark.parametrize(
    "value",
    [
        b'{"specversion":"1.0","correlationid":"b3a7","data":1}',
        b'{"specversion":"1.0","data":1}',
        b'{"specversion":1.0,"correlationid":"kb1:x","data":1}',
        b'{"correlationid":"kb1:x","data":1}',
        b'{"specversion":"1.0","correlationid":"kb1:' + b"x" * 5000 + b'"}',
    ],
)
def test_a_value_without_a_token_is_no_cloudevent_of_a_worker(value: bytes) -> None:
    """It is an unverified record."""
    with pytest.raises(UnverifiedError, match="no token"):
        read_result(value, ())


def test_structured_mode_may_have_members_of_the_same_names() -> None:
    """Only `kallback` and `data` have a meaning there."""
    value = b'{"kallback":{"token":"kb1:x"},"type":5,"specversion":[],"kallbackstatus":"failed","data":7}'
    assert read_result(value, ()).answer() == Completed(b"7")


@pytest.mark.parametrize(
    ("convention", "headers"),
    [
        (Convention.KALLBACK, {}),
        (Convention.SPRING, {}),
        (Convention.NESTJS, {}),
        (Convention.FASTSTREAM, {"correlation_id": b"kb1:x", "reply_to": b"results"}),
        (Convention.SMALLRYE, {"REPLY_CORRELATION_ID": b"kb1:x", "REPLY_TOPIC": b"results"}),
        (
            Convention.CLOUDEVENTS,
            {
                "ce_specversion": b"1.0",
                "ce_id": b"t-1",
                "ce_source": b"kallback",
                "ce_type": b"restaurant.prepare",
                "ce_correlationid": b"kb1:x",
            },
        ),
    ],
)
def test_a_task_has_the_headers_that_a_framework_looks_for(convention: Convention, headers: dict[str, bytes]) -> None:
    """Those of Spring and NestJS are on each task."""
    found = task_headers_of(convention, token=TOKEN, reply_to="results", task_type="restaurant.prepare", dispatch="t-1")
    assert dict(found) == headers
