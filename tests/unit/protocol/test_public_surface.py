import types

from kallback import protocol

FROZEN = """
    AccessDeniedError Answer Attempt AwakeableId AwakeablePlace BareAwakeable Cancel CancelReason Claims Codec
    Completed ConfigurationError DecodeError EncodeError Envelope Failed Headers InvalidAwakeableIdError
    InvalidControlError InvalidEnvelopeError InvalidKeyError InvalidTaskError KafkaUnavailableError KallbackError
    Keyring MissingExtraError MissingTopicError Outcome OutcomeRecord Problem RecordTooLargeError
    RestateUnavailableError ResultRecord SourcePosition Status TaskHeaders TaskId TaskType Token UnavailableError
    UNDECODABLE_TASK UNEXPECTED_ERROR UnsupportedServerError Unusable UNUSABLE_RESULT UnusableResultError Unverified
    UnverifiedError WireError check_json completed_headers failed_headers locate_awakeable open_envelope
    parse_awakeable_id read_claims read_result seal shorten task_id_of values_of
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
