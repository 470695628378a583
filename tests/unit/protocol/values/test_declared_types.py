"""Which declared types are refused, because their values could not travel or could not be read back."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, Protocol, TypedDict, TypeVar

import msgspec
import pydantic
import pydantic.dataclasses
import pytest

from kallback.protocol import Codec, EncodeError


@dataclass
class Item:
    """A dataclass, which has no hash."""

    name: str


class Order(msgspec.Struct):
    """A struct, which has no hash."""

    id: str


class Prepared(pydantic.BaseModel):
    """A pydantic model, which has no hash."""

    minutes: int


class Opaque:
    """A class without a JSON form."""


@dataclass
class Shelf:
    """Hides an opaque part."""

    holds: list[Opaque]


@pytest.mark.parametrize("declared", [Opaque, list[Opaque], dict[str, Opaque | None], Shelf], ids=str)
def test_a_type_that_can_never_be_read_is_refused_at_construction(declared: Any) -> None:
    """A type without a JSON form fails where it is declared, not at the first result."""
    with pytest.raises(TypeError, match="Opaque has no JSON form"):
        Codec[Any](declared)


T = TypeVar("T")


class Frozen(msgspec.Struct, frozen=True):
    """A struct with a hash."""

    name: str


@pytest.mark.parametrize("declared", [set[list[int]], frozenset[dict[str, int]], set[Item], set[Order], set[Prepared],
    set[tuple[int, list[int]]], set[tuple[Item, ...]], dict[str, set[Item | None]]], ids=str)  # fmt: skip
def test_a_set_of_what_has_no_hash_is_refused(declared: Any) -> None:
    """It can be written as a list, and never read as a set."""
    with pytest.raises(TypeError, match=r"a set cannot hold .*, which has no hash: declare a list"):
        Codec(declared)


@pytest.mark.parametrize(
    "declared", [set[str], set[Frozen], frozenset[tuple[int, str]], set[Any], set[int | None]], ids=str
)
def test_a_set_of_what_has_a_hash_is_fine(declared: Any) -> None:
    """Frozen structs and tuples, for example."""
    assert Codec(declared).decode(b"[]") == set()


@pytest.mark.parametrize(
    "key", [Item, Prepared, tuple[int, int], list[int], bool, None, frozenset[int], Order | None], ids=str
)
def test_a_key_that_json_does_not_have_is_refused(key: Any) -> None:
    """JSON's keys are texts: what cannot be written as one fails where it is declared."""
    with pytest.raises(TypeError, match="JSON has no keys of type"):
        Codec(dict[key, int])


def test_a_key_that_is_a_text_or_a_number_is_refused() -> None:
    """The number 1 would come back as the text "1"."""
    with pytest.raises(TypeError, match="declare a dict with keys of one type"):
        Codec(dict[str | int, int])


@pytest.mark.parametrize("declared", [T, list[T], dict[str, list[T]]], ids=str)  # type: ignore[valid-type]  # wrong on purpose
def test_a_type_variable_is_refused(declared: Any) -> None:
    """It stands for any type, and would check nothing."""
    with pytest.raises(TypeError, match="is a type variable: write the type itself"):
        Codec(declared)


class Behaviour(Protocol):
    """A protocol, which no value can be read as."""

    def bake(self) -> int:
        """Bake."""
        ...


@pytest.mark.parametrize(
    "declared", [Callable, Callable[[int], int], list[Callable[[], int]], Behaviour, type[int]], ids=str
)
def test_code_cannot_travel(declared: Any) -> None:
    """Functions, protocols and classes have no JSON form."""
    with pytest.raises(TypeError, match="has no JSON form that msgspec or pydantic knows"):
        Codec(declared)


class WithOpaque(pydantic.BaseModel, arbitrary_types_allowed=True):
    """Holds a class that says nothing about JSON."""

    holds: Opaque | None


class WithFunction(pydantic.BaseModel):
    """Holds a function."""

    rate: Callable[[], int]


class WithClass(pydantic.BaseModel):
    """Holds a class."""

    kind: type[int]


class WithSet(pydantic.BaseModel):
    """Holds a model that cannot travel."""

    inner: list[WithFunction]


@pytest.mark.parametrize("declared", [WithOpaque, WithFunction, WithClass, WithSet, list[WithSet]], ids=str)
def test_a_model_with_a_member_without_a_json_form_is_refused(declared: Any) -> None:
    """The sentence names the member."""
    with pytest.raises(TypeError, match=r"With\w+\.\w+ cannot travel as JSON"):
        Codec(declared)


class WrittenOtherwise(pydantic.BaseModel):
    """Is written under a name that it does not read."""

    size: int = pydantic.Field(serialization_alias="sz")


class ReadOtherwise(pydantic.BaseModel):
    """Reads a name under which it is not written."""

    size: int = pydantic.Field(default=1, validation_alias=pydantic.AliasChoices("sz", pydantic.AliasPath("s", "z")))


@pytest.mark.parametrize("declared", [WrittenOtherwise, ReadOtherwise], ids=str)
def test_a_member_that_is_written_and_read_under_different_names_is_refused(declared: Any) -> None:
    """It would be missing on the other side, or silently take its default."""
    with pytest.raises(TypeError, match=r"pydantic writes \w+\.size as .*: use the same alias for both"):
        Codec(declared)


class ByName(pydantic.BaseModel, populate_by_name=True):
    """Reads its members under their own names, too."""

    size: int = pydantic.Field(validation_alias="sz")
    hidden: int = pydantic.Field(default=1, exclude=True)


class Converted(pydantic.BaseModel, arbitrary_types_allowed=True):
    """Says itself how its member travels."""

    holds: Annotated[Opaque, pydantic.BeforeValidator(lambda _: Opaque()), pydantic.PlainSerializer(str)]


@pytest.mark.parametrize(
    ("value", "sent"),
    [(ByName(size=1), b'{"size":1}'), (Converted(holds="x"), b'{"holds":')],  # type: ignore[arg-type]  # the validator converts it
)
def test_a_model_that_can_be_read_back_travels(value: Any, sent: bytes) -> None:
    """Only what is sure to be lost is refused."""
    codec: Codec[Any] = Codec(type(value))
    assert codec.encode(value).startswith(sent)


class Excluded(pydantic.BaseModel):
    """Needs a member that it never writes."""

    size: int = pydantic.Field(exclude=True)


def test_a_member_that_is_required_and_not_written_is_refused() -> None:
    """No value of the model can be read back."""
    with pytest.raises(TypeError, match=r"Excluded\.size is excluded and required"):
        Codec(Excluded)


class Login(pydantic.BaseModel):
    """A model with a secret, which pydantic writes as asterisks."""

    password: pydantic.SecretStr


class Logins(pydantic.BaseModel):
    """A model with a secret further down."""

    by_name: dict[str, Login | None]


@pytest.mark.parametrize("declared", [Login, Logins, list[Login], Login | None])
def test_a_model_whose_secrets_would_be_lost_is_refused(declared: Any) -> None:
    """The worker would get asterisks; the sentence names the member."""
    with pytest.raises(TypeError, match=r"Login\.password as asterisks"):
        Codec(declared)


class Revealed(pydantic.BaseModel):
    """A model that says how its secret travels."""

    password: pydantic.SecretStr

    @pydantic.field_serializer("password")
    def reveal(self, value: pydantic.SecretStr) -> str:
        """Send it as it is."""
        return value.get_secret_value()


def test_a_secret_with_a_serializer_travels() -> None:
    """Whoever writes a serializer has decided that the secret is sent."""
    codec = Codec(Revealed)
    sent = codec.encode(Revealed(password=pydantic.SecretStr("sesame")))
    assert codec.decode(sent).password.get_secret_value() == "sesame"


class Undeclared(pydantic.BaseModel):
    """Its member may be anything, a secret, too."""

    member: Any


@pytest.mark.parametrize("declared", [Undeclared, Any, dict])
def test_a_secret_that_no_type_declares_is_refused_where_it_is_sent(declared: Any) -> None:
    """The other side would get asterisks."""
    value = Undeclared(member=[pydantic.SecretStr("sesame")])
    codec: Codec[Any] = Codec(declared)
    with pytest.raises(EncodeError, match="writes a secret in it as asterisks"):
        codec.encode({"inside": value} if declared is dict else value)


def test_a_text_of_asterisks_is_a_text() -> None:
    """Ten of them are what pydantic writes, and what a user may send."""
    assert Codec(Undeclared).encode(Undeclared(member="*" * 10)) == b'{"member":"**********"}'


class Numbered(pydantic.BaseModel):
    """A serializer of its own that wants a number inside the secret."""

    pin: pydantic.SecretStr

    @pydantic.field_serializer("pin")
    def reveal(self, value: pydantic.SecretStr) -> str:
        """Refuse what is no number, such as the value with which declarations are tried."""
        return str(int(value.get_secret_value()))


def test_a_serializer_that_wants_other_values_masks_nothing() -> None:
    """A model's own serializer may refuse the value with which the declaration is tried."""
    codec = Codec(Numbered)

    assert codec.encode(Numbered(pin=pydantic.SecretStr("1234"))) == b'{"pin":"1234"}'


@pydantic.dataclasses.dataclass
class Checked:
    """A pydantic dataclass."""

    size: Annotated[int, pydantic.Field(ge=0)]


@pytest.mark.parametrize("declared", [Checked, list[Checked], dict[str, Checked | None]])
def test_a_pydantic_dataclass_is_refused(declared: Any) -> None:
    """Its validators would not run; the sentence says what to use."""
    with pytest.raises(TypeError, match="BaseModel"):
        Codec(declared)


@dataclass
class Bounded:
    """A plain dataclass, which msgspec reads."""

    size: Annotated[int, pydantic.Field(ge=0)]


class Upper(msgspec.Struct):
    """A struct with a validator of pydantic's."""

    names: list[Annotated[str, pydantic.AfterValidator(str.upper)]]


class Sized(TypedDict):
    """A dict with a type of pydantic's that is an annotation."""

    size: pydantic.PositiveInt


@pytest.mark.parametrize(
    "declared", [Bounded, list[Bounded], Upper, Sized, pydantic.UUID4, Annotated[int, pydantic.Field(ge=0)] | None]
)
def test_a_check_that_only_pydantic_knows_is_refused_where_msgspec_reads(declared: Any) -> None:
    """It would not run; the sentence names the place, and what to use."""
    with pytest.raises(TypeError, match=r"on (\w+\.\w+|the type itself) would not run.*msgspec\.Meta.*BaseModel"):
        Codec(declared)


class BoundedModel(pydantic.BaseModel):
    """The same in a model of pydantic."""

    size: Annotated[int, pydantic.Field(ge=0)]


@dataclass
class Described:
    """Annotations that check nothing, and one that msgspec knows."""

    size: Annotated[int, pydantic.Field(description="in cm"), msgspec.Meta(ge=0)]
    exact: pydantic.StrictInt
    inner: BoundedModel


def test_checks_that_run_and_notes_are_taken() -> None:
    """A check in a pydantic model, a `msgspec.Meta`, and a description."""
    value = Described(size=1, exact=2, inner=BoundedModel(size=3))
    codec = Codec(Described)
    assert codec.decode(codec.encode(value)) == value


class Linked(pydantic.BaseModel):
    """A model with a member that only pydantic can write."""

    at: pydantic.AnyUrl
    note: str


def test_asterisks_in_a_text_are_no_secret() -> None:
    """A value that merely looks masked is sent, whatever other members it has."""
    value = Linked(at=pydantic.AnyUrl("https://example.org/"), note="*" * 10)
    assert b"*" * 10 in Codec(Linked).encode(value)
    assert b"*" * 10 in Codec[Any](Any).encode({"any": value})


class Strict(pydantic.BaseModel, extra="forbid"):
    """Writes a member that it does not read."""

    side: int

    @pydantic.computed_field
    def area(self) -> int:
        """Its square."""
        return self.side**2


class Lenient(Strict, extra="ignore"):
    """Reads past it."""


@pytest.mark.parametrize("declared", [Strict, list[Strict]], ids=str)
def test_a_computed_field_of_a_model_that_forbids_extra_members_is_refused(declared: Any) -> None:
    """Each of its values would fail; the sentence names the member and the remedy."""
    with pytest.raises(TypeError, match=r"Strict\.area and does not read it.*extra='ignore'"):
        Codec[Any](declared)
    assert Codec(Lenient).decode(Codec(Lenient).encode(Lenient(side=3))).side == 3


@pytest.mark.parametrize("declared", [Prepared | Lenient, list[Prepared | Lenient], Prepared | Lenient | None], ids=str)
def test_a_union_of_models_is_refused_with_its_remedy(declared: Any) -> None:
    """A model around it lets pydantic choose."""
    with pytest.raises(TypeError, match=r"declare pydantic\.RootModel\[Prepared \| Lenient\]"):
        Codec[Any](declared)


def test_a_union_of_models_travels_inside_a_root_model() -> None:
    """As the sentence says."""
    codec = Codec(pydantic.RootModel[Prepared | Lenient])
    assert codec.decode(codec.encode(pydantic.RootModel[Prepared | Lenient](Lenient(side=3)))).root == Lenient(side=3)
