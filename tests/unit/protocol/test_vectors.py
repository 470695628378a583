"""The golden vectors in protocol/vectors hold: they are read here, never written."""

import base64
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

from kallback.protocol import (
    MAX_DETAILS_BYTES,
    Attempt,
    Cancel,
    CancelReason,
    Completed,
    Convention,
    Envelope,
    Failed,
    Heard,
    InvalidControlError,
    InvalidEnvelopeError,
    InvalidKeyError,
    InvalidProgressError,
    InvalidTaskError,
    Keyring,
    Marks,
    Outcome,
    OutcomeRecord,
    Report,
    Signal,
    SourcePosition,
    TaskHeaders,
    TaskId,
    TaskProgress,
    Token,
    Unusable,
    UnusableResultError,
    Unverified,
    UnverifiedError,
    open_envelope,
    parse_awakeable_id,
    progress_headers,
    read_progress,
    read_result,
    seal,
)
from kallback.protocol.cancel_secrets import cancel_secret, hash_of, last_of_chain

FOLDER = Path(__file__).parents[3] / "protocol" / "vectors"
Vector = dict[str, Any]
FILES: dict[str, Any] = {path.stem: json.loads(path.read_text("utf-8")) for path in sorted(FOLDER.glob("*.json"))}


def bytes_of(written: Vector | None) -> bytes | None:
    """Bytes as the vectors write them: text, base64 or null."""
    if written is None:
        return None
    return written["text"].encode() if "text" in written else base64.b64decode(written["base64"])


def must(written: Vector) -> bytes:
    """Bytes that are not null."""
    found = bytes_of(written)
    assert found is not None
    return found


def headers_of(written: list[Vector]) -> tuple[tuple[str, bytes | None], ...]:
    """Record headers in their order."""
    return tuple((header["name"], bytes_of(header["value"])) for header in written)


def each(file: str, *lists: str) -> pytest.MarkDecorator:
    """One test per vector of these lists."""
    vectors = [vector for name in lists for vector in FILES[file][name]]
    return pytest.mark.parametrize("vector", vectors, ids=[v["description"].replace(" ", "-") for v in vectors])


def published_ring() -> Keyring:
    """The published keys, the second of which signs."""
    keys = {key_id: must(key) for key_id, key in FILES["results_good"]["keys"].items()}
    return Keyring({"k2": keys["k2"], "k1": keys["k1"]})


RING = published_ring()


def prove(text: str, audience: str, *, allow_bare: bool) -> str:
    """The awakeable id that a token proves, as bridge and notifier decide it."""
    if text.startswith("sign_1"):
        if not allow_bare:
            raise UnverifiedError(Unverified.BARE_AWAKEABLE, "bare awakeable ids are not allowed here")
        return parse_awakeable_id(text)
    return RING.verify(text, audience).awakeable_id


def verdict(vector: Vector, audience: str) -> tuple[str, str]:
    """What becomes of a result record before Restate is asked."""
    record = vector["record"]
    try:
        found = read_result(bytes_of(record["value"]), headers_of(record["headers"]))
        prove(found.token, audience, allow_bare=vector["allow_bare_awakeables"])
        found.answer()
    except UnverifiedError as error:
        return Outcome.UNVERIFIED, error.reason
    except UnusableResultError as error:
        return Outcome.UNUSABLE, error.reason
    return "answer", ""


def token_of(vector: Vector) -> Token:
    """The token that a vector describes."""
    return Token(
        vector["task_type"],
        TaskId(vector["task_id"]),
        Attempt(vector["attempt"]),
        parse_awakeable_id(vector["awakeable_id"]),
        vector["deadline_ms"],
    )


@each("tokens", "good")
def test_good_tokens_verify(vector: Vector) -> None:
    """The published keys prove every good token, and it says what the vector says."""
    assert RING.verify(vector["token"], vector["audience"]) == token_of(vector)


@each("tokens", "good", "good_in_insecure_mode")
def test_good_tokens_are_signed_alike(vector: Vector) -> None:
    """Signing the same claims gives the same text."""
    keys = {name: must(key) for name, key in FILES["tokens"]["keys"].items()}
    keys["dev"] = must({"base64": FILES["tokens"]["insecure_key"]["base64"]})
    ring = Keyring({vector["key_id"]: keys[vector["key_id"]]})
    assert ring.sign(token_of(vector), vector["audience"]) == vector["token"]


@each("tokens", "good_in_insecure_mode")
def test_the_published_key_is_the_built_in_one(vector: Vector) -> None:
    """Insecure mode knows the published key without being given it."""
    assert Keyring.insecure().verify(vector["token"], vector["audience"]) == token_of(vector)


@each("tokens", "bad")
def test_bad_tokens_have_a_reason(vector: Vector) -> None:
    """No bad token verifies, and the reason is the vector's."""
    with pytest.raises(UnverifiedError) as caught:
        RING.verify(vector["token"], vector["audience"])
    assert caught.value.reason == vector["reason"]


@each("tokens", "good_keyrings")
def test_good_key_variables_are_read(vector: Vector) -> None:
    """The ids come in order, the signing one first."""
    assert list(Keyring.parse(vector["kallback_keys"]).key_ids) == vector["key_ids"]


@each("tokens", "bad_keyrings")
def test_bad_key_variables_are_refused(vector: Vector) -> None:
    """The sentence names the place and the mistake."""
    with pytest.raises(InvalidKeyError, match=vector["error"]):
        Keyring.parse(vector["kallback_keys"])


def task_of(vector: Vector) -> TaskHeaders:
    """The headers that a vector describes."""
    details = vector["task"].get("last_details")
    return TaskHeaders(**(vector["task"] | {"last_details": b"" if details is None else must(details)}))


@each("task_records", "written")
def test_task_records_are_written_byte_for_byte(vector: Vector) -> None:
    """The same task gives the same headers in the same order."""
    assert task_of(vector).encode() == headers_of(vector["record"]["headers"])


@each("task_records", "written_for_frameworks")
def test_task_records_for_frameworks_are_written_byte_for_byte(vector: Vector) -> None:
    """Their headers follow those that each task has; to a reader that knows none of them it is the same task."""
    headers = headers_of(vector["record"]["headers"])
    assert replace(task_of(vector), convention=Convention(vector["convention"])).encode() == headers
    assert TaskHeaders.decode(headers) == task_of(vector)


@each("task_records", "written", "tolerated")
def test_task_records_are_read(vector: Vector) -> None:
    """Headers that are not ours, their order and equal doubles make no difference."""
    assert TaskHeaders.decode(headers_of(vector["record"]["headers"])) == task_of(vector)


@each("task_records", "bad")
def test_bad_task_records_are_refused(vector: Vector) -> None:
    """The sentence names the header."""
    with pytest.raises(InvalidTaskError, match=vector["error"]):
        TaskHeaders.decode(headers_of(vector["headers"]))


@each("results_good", "vectors")
def test_good_results_are_read_and_posted(vector: Vector) -> None:
    """Token, answer and what goes to Restate are the vector's, byte for byte."""
    record, audience = vector["record"], FILES["results_good"]["audience"]
    found = read_result(bytes_of(record["value"]), headers_of(record["headers"]))
    assert found.token == vector["token"]
    answer = found.answer()
    assert answer == (Completed if vector["status"] == "completed" else Failed)(must(vector["body"]))
    awakeable_id = prove(found.token, audience, allow_bare=vector["allow_bare_awakeables"])
    assert vector["posted"]["path"].startswith(f"/restate/awakeables/{awakeable_id}/")
    if not vector["allow_bare_awakeables"]:
        token = RING.verify(found.token, audience)
        assert seal(token.task_id, token.attempt, answer) == must(vector["posted"]["body"])


@each("results_good", "vectors")
def test_failures_say_what_the_vector_says(vector: Vector) -> None:
    """A failed result's problem is read member by member; a completed one has none."""
    found = read_result(bytes_of(vector["record"]["value"]), headers_of(vector["record"]["headers"])).answer()
    problem = found.problem() if isinstance(found, Failed) else None
    expected = vector.get("problem")
    members = None if problem is None else {name: getattr(problem, name) for name in expected or {}}
    assert members == expected


@each("results_bad", "vectors")
def test_bad_results_have_an_outcome_and_a_reason(vector: Vector) -> None:
    """Unverified or unusable, and why; what only Restate can tell reads well here."""
    expected = (vector["outcome"], vector["reason"])
    if "restate_answers" in vector:
        expected = ("answer", "")
    assert verdict(vector, FILES["results_bad"]["audience"]) == expected


@pytest.mark.parametrize(("outcome", "reasons"), [("unverified", Unverified), ("unusable", Unusable)])
def test_every_reason_has_a_vector(outcome: str, reasons: type[Unverified] | type[Unusable]) -> None:
    """A new reason needs a record that shows it."""
    shown = {v["reason"] for v in FILES["results_bad"]["vectors"] if v["outcome"] == outcome}
    assert shown == {*reasons} - {Unverified.TOO_MANY_HEADERS}  # only size shows it: see test_bounds.py


def cancel_of(vector: Vector) -> Cancel:
    """The cancel that a vector describes."""
    attempt = None if vector["attempt"] is None else Attempt(vector["attempt"])
    reason, secret = CancelReason(vector["reason"]), vector.get("secret")
    return Cancel(TaskId(vector["task_id"]), reason, vector["at_ms"], attempt, secret)


@each("control", "written")
def test_control_records_are_written_byte_for_byte(vector: Vector) -> None:
    """The value is the vector's, the key is the task id."""
    assert cancel_of(vector).encode() == must(vector["record"]["value"])
    assert vector["task_id"].encode() == must(vector["record"]["key"])


@each("control", "written", "tolerated")
def test_control_records_are_read(vector: Vector) -> None:
    """Members that are not known are ignored, and the cancel covers what it should."""
    cancel = Cancel.decode(must(vector["record"]["value"]))
    assert cancel == cancel_of(vector)
    for case in vector["covers"]:
        assert cancel.covers(TaskId(case["task_id"]), Attempt(case["attempt"])) is case["covered"]


@each("control", "bad")
def test_bad_control_records_are_refused(vector: Vector) -> None:
    """A worker skips what it does not understand."""
    with pytest.raises(InvalidControlError):
        Cancel.decode(bytes_of(vector["value"]))


@each("cancel_secrets", "derived")
def test_secrets_of_cancels_are_derived_alike(vector: Vector) -> None:
    """Every process with the key derives the same secret for an attempt, and the same hash for its header."""
    task_id, attempt = TaskId(vector["task_id"]), Attempt(vector["attempt"])
    assert cancel_secret(RING, vector["key_id"], task_id, attempt) == vector["secret"]
    assert hash_of(vector["secret"]) == vector["hash"]
    assert last_of_chain(attempt) == vector["last_of_chain"]


@each("cancel_secrets", "checked")
def test_secrets_of_cancels_are_checked_alike(vector: Vector) -> None:
    """A worker without keys tells an authentic cancel from a forged one."""
    cancel = Cancel(TaskId("----AQIDBAUGBwj_"), CancelReason.CANCELLED, 1, None, vector["secret"])
    assert cancel.proof(vector["hash"]).value == vector["proof"]


def report_of(vector: Vector) -> Report:
    """What the worker of a vector tells."""
    told = Signal(vector["signal"]), vector["at_ms"], must(vector["details"]), vector["every_ms"]
    return Report(*told, vector.get("partitions", ""))


def hear(record: Vector) -> Report:
    """Read a progress record as a bridge does: find the token, prove it, understand the rest."""
    found = read_progress(bytes_of(record["value"]), headers_of(record["headers"]))
    RING.verify(found.token, FILES["progress"]["audience"])
    return found.report()


@each("progress", "written")
def test_progress_records_are_written_byte_for_byte(vector: Vector) -> None:
    """The same report gives the same headers in the same order; its details are the value."""
    told = vector["token"], Signal(vector["signal"]), vector["at_ms"], vector["every_ms"]
    found = progress_headers(*told, vector.get("partitions", ""))
    assert found == headers_of(vector["record"]["headers"])
    assert must(vector["details"]) == must(vector["record"]["value"])


@each("progress", "written", "tolerated")
def test_progress_records_are_read(vector: Vector) -> None:
    """Headers that are not ours, their order and equal doubles make no difference; details come as they were sent."""
    record = vector["record"]
    assert read_progress(bytes_of(record["value"]), headers_of(record["headers"])).token == vector["token"]
    assert hear(record) == report_of(vector)


@each("progress", "bad")
def test_bad_progress_records_are_refused(vector: Vector) -> None:
    """Unverified with the vector's reason, or not understood."""
    with pytest.raises((UnverifiedError, InvalidProgressError), match=vector["error"]) as caught:
        hear(vector["record"])
    assert getattr(caught.value, "reason", None) == vector["reason"]


def test_the_limit_of_details_is_the_published_one() -> None:
    """Authors in other languages rely on it."""
    assert FILES["progress"]["max_details_bytes"] == MAX_DETAILS_BYTES


BODIES: dict[str, type[msgspec.Struct]] = {"heard": Heard, "marks": Marks, "progress": TaskProgress}


def body_of(vector: Vector) -> msgspec.Struct:
    """The body that a vector describes, made as a program makes it."""
    [(kind, members)] = [(name, vector[name]) for name in BODIES if name in vector]
    if kind == "marks":
        return Marks(members["partitions"], {int(name): mark for name, mark in members["marks"].items()})
    details = msgspec.Raw(bytes_of(members["details"]) or b"")
    return BODIES[kind](**(members | {"details": details}))


@each("monitoring", "written")
def test_monitoring_bodies_are_written_byte_for_byte(vector: Vector) -> None:
    """Members without a value are left out, details are spliced in."""
    assert msgspec.json.encode(body_of(vector)) == must(vector["body"])


@each("monitoring", "written", "tolerated")
def test_monitoring_bodies_are_read(vector: Vector) -> None:
    """Order, spaces and unknown members make no difference."""
    body = body_of(vector)
    assert msgspec.json.decode(must(vector["body"]), type=type(body)) == body


@each("monitoring", "bad")
def test_bad_monitoring_bodies_are_refused(vector: Vector) -> None:
    """A body with a member that is missing or of another type is none."""
    with pytest.raises(msgspec.DecodeError):
        msgspec.json.decode(must(vector["body"]), type=BODIES[vector["kind"]])


def envelope_of(vector: Vector) -> Envelope:
    """The envelope that a vector describes."""
    kind = Completed if vector["status"] == "completed" else Failed
    return Envelope(TaskId(vector["task_id"]), Attempt(vector["attempt"]), kind(must(vector["body"])))


@each("envelopes", "sealed")
def test_envelopes_are_sealed_byte_for_byte(vector: Vector) -> None:
    """The answer's bytes stand in the envelope as they came."""
    envelope = envelope_of(vector)
    assert seal(envelope.task_id, envelope.attempt, envelope.answer) == must(vector["envelope"])


@each("envelopes", "sealed", "tolerated")
def test_envelopes_are_opened(vector: Vector) -> None:
    """Order, spaces and unknown members make no difference."""
    assert open_envelope(must(vector["envelope"])) == envelope_of(vector)


@each("envelopes", "refused")
def test_what_is_no_envelope_is_refused(vector: Vector) -> None:
    """The handler gets a terminal error instead of retrying for ever."""
    with pytest.raises(InvalidEnvelopeError):
        open_envelope(must(vector["value"]))


@each("outcomes", "records")
def test_outcome_records_are_written_byte_for_byte(vector: Vector) -> None:
    """Key and value are the vector's."""
    record = OutcomeRecord(
        Outcome(vector["outcome"]),
        SourcePosition(**vector["source"]),
        vector["at_ms"],
        vector["reason"],
        vector["task_type"],
        vector["task_id"],
        vector["attempt"],
        did=vector.get("did"),
    )
    assert (record.key(), record.encode()) == (must(vector["record"]["key"]), must(vector["record"]["value"]))


@pytest.mark.parametrize(
    ("name", "enum"), [("outcomes", Outcome), ("unverified_reasons", Unverified), ("unusable_reasons", Unusable)]
)
def test_the_words_are_frozen(name: str, enum: type[Outcome]) -> None:
    """Metrics, dead letters and dashboards rely on these words."""
    assert FILES["outcomes"][name] == [*enum]


@pytest.mark.parametrize("file", sorted(FILES))
def test_every_vector_has_a_description_of_its_own(file: str) -> None:
    """An author who fails a vector must find it, and know what it is about."""
    lists = [value for value in FILES[file].values() if isinstance(value, list)]
    for vectors in lists:
        found = [vector["description"] for vector in vectors if isinstance(vector, dict)]
        assert len(found) == len(set(found))


def test_no_file_is_missing() -> None:
    """The ten files that authors in other languages are told about."""
    told = re.findall(r"^\| `(\w+)\.json`", (FOLDER / "README.md").read_text("utf-8"), re.MULTILINE)
    assert sorted(told) == [*FILES]
    assert len(told) == 10
