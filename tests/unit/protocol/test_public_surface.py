import types

from kallback import protocol

FROZEN = """
    AccessDeniedError Answer Attempt ATTEMPT_TIMED_OUT AwakeableId AwakeablePlace BareAwakeable Cancel CancelProof
    CancelReason check_json checked_details Claims Codec Completed completed_headers ConfigurationError Convention
    Conventions DecodeError EncodeError
    Envelope EXCEPTION Failed FailureMarks failed_headers GiveUp Headers Heard HEARTBEAT_LOST
    InstanceIdTakenError InvalidAwakeableIdError
    InvalidControlError InvalidEnvelopeError InvalidKeyError InvalidProgressError InvalidTaskError
    KafkaUnavailableError KallbackError Keyring locate_awakeable Marks MAX_DETAILS_BYTES MissingExtraError
    MissingTopicError NOT_STARTED PARKED_TASK PLAIN_NAMES service_names ServiceNames
    open_envelope Outcome OutcomeRecord parse_awakeable_id Problem
    progress_headers ProgressRecord PublishedTask PublishedTasks read_claims read_conventions read_outcome read_progress
    read_result RecordTooLargeError Report RestateUnavailableError ResultRecord Retry RetryAfter RetryPolicy seal
    shorten Signal SourcePosition Status
    task_id_of TaskHeaders TaskId TaskProgress TaskType Token UnavailableError UNDECODABLE_TASK UNEXPECTED_ERROR
    UnsupportedServerError Unusable UNUSABLE_RESULT UnusableResultError Unverified UnverifiedError UnverifiedToken
    values_of WireError
"""


def test_the_public_surface_is_frozen() -> None:
    """A name that joins or leaves `kallback.protocol` is a decision: write it down here, and in the changelog."""
    assert set(protocol.__all__) == set(FROZEN.split())


def test_the_list_is_all_there_is() -> None:
    """Everything that can be imported without an underscore is either in the list or a module."""
    found = {n for n, v in vars(protocol).items() if not n.startswith("_") and not isinstance(v, types.ModuleType)}
    assert found == set(protocol.__all__)


def test_the_list_has_no_doubles() -> None:
    """Each name stands once."""
    assert len(protocol.__all__) == len(set(protocol.__all__))
