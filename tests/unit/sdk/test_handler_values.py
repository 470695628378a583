"""Parameters and results of handlers that Restate's SDK does not convert are refused where they are declared."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec
import pytest
import restate
from pydantic import BaseModel
from restate import TerminalError
from restate.serde import JsonSerde, Serde

from kallback.protocol import ConfigurationError, Keyring
from kallback.sdk import Callbacks
from kallback.settings import KeySettings, Settings
from kallback.testing import HandlerTest

SETTINGS = Settings(keys=KeySettings(keyring=Keyring({"test": b"0" * 32})))


@dataclass
class Order:
    """What Restate's SDK does not know."""

    dish: str


class Dish(msgspec.Struct):
    """What it knows."""

    name: str


class Guest(BaseModel):
    """What it knows as well."""

    name: str


class OrderSerde(Serde[Order]):
    """A user's own."""

    def deserialize(self, buf: bytes) -> Order:
        """From JSON."""
        return Order(**json.loads(buf))

    def serialize(self, obj: Order | None) -> bytes:
        """To JSON."""
        return b"" if obj is None else json.dumps({"dish": obj.dish}).encode()


def echo(parameter: Any, result: Any, **options: Any) -> tuple[restate.Service, Callable[..., Any]]:
    """A service whose handler returns its argument, with these annotations."""
    service = restate.Service("Orders")

    async def order(ctx: restate.Context, value: Any) -> Any:
        del ctx
        return value

    order.__annotations__ |= {"value": parameter, "return": result}
    return service, service.handler(**options)(order)


def app_of(service: restate.Service) -> None:
    """The application of a service."""
    Callbacks(SETTINGS).app([service])


@pytest.mark.parametrize(
    "parameter", [Order, Order | None, list[Order], dict[str, Dish], list[Guest], Dish | Guest], ids=repr
)
def test_a_parameter_that_would_arrive_as_json_is_refused(parameter: Any) -> None:
    """When the application is made, with the handler, the type and the remedy."""
    service, _ = echo(parameter, None)

    with pytest.raises(ConfigurationError, match=r"Orders/order would not get (Order|Dish|Guest).*msgspec\.Struct"):
        app_of(service)


def test_a_result_that_cannot_be_encoded_is_refused() -> None:
    """As a parameter is."""
    service, _ = echo(str, Order)

    with pytest.raises(ConfigurationError, match=r"Orders/order cannot return Order.*output_serde="):
        app_of(service)


@pytest.mark.parametrize(
    "kind", [Dish, Guest, Dish | None, str, list[str], dict[str, Any], Any, object, None], ids=repr
)
def test_what_crosses_restate_is_not_refused(kind: Any) -> None:
    """Structs, models and what JSON gives."""
    service, _ = echo(kind, kind)

    app_of(service)


@pytest.mark.parametrize("serde", [OrderSerde(), JsonSerde[Any]()])
def test_a_serde_of_the_users_own_is_not_judged(serde: Serde[Any]) -> None:
    """It may do what the default one does not."""
    service, _ = echo(Order, Order, input_serde=serde, output_serde=serde)

    app_of(service)


async def test_a_handler_test_refuses_what_the_application_refuses() -> None:
    """So a test does not pass where production fails."""
    _, order = echo(Order, None)

    async with HandlerTest() as test:
        with pytest.raises(ConfigurationError, match="Orders/order would not get Order"):
            await test.run(order, Order("soup"))


@pytest.mark.parametrize("value", [Dish("soup"), Guest(name="Ada")])
async def test_a_handler_test_converts_the_argument_as_production_does(value: Any) -> None:
    """The handler gets a copy that went through the serde."""
    _, order = echo(type(value), type(value))

    async with HandlerTest() as test:
        arrived = await test.run(order, value)

    assert (arrived, arrived is value) == (value, False)


async def test_a_handler_test_uses_the_users_own_serde() -> None:
    """In both directions."""
    _, order = echo(Order, Order, input_serde=OrderSerde(), output_serde=OrderSerde())

    async with HandlerTest() as test:
        assert await test.run(order, Order("soup")) == Order("soup")


async def test_a_tuple_arrives_as_the_list_that_json_makes_of_it() -> None:
    """Plain values go through JSON, too."""
    _, order = echo(Any, Any)

    async with HandlerTest() as test:
        assert await test.run(order, ("a", "b")) == ["a", "b"]


async def test_an_argument_that_cannot_be_sent_is_named() -> None:
    """With the handler and what to pass."""
    _, order = echo(Any, Any)

    async with HandlerTest() as test:
        with pytest.raises(ConfigurationError, match=r"type Order cannot be sent to the handler Orders/order.*pass"):
            await test.run(order, Order("soup"))


async def test_an_argument_that_cannot_be_decoded_fails_as_in_production() -> None:
    """With a terminal error."""
    _, order = echo(Dish, None)

    async with HandlerTest() as test:
        with pytest.raises(TerminalError, match="Unable to parse an input argument"):
            await test.run(order, Dish(name=7))  # type: ignore[arg-type]  # the mistake


async def test_a_result_that_restate_could_not_encode_fails_the_test() -> None:
    """Restate would try the handler again without end."""
    service = restate.Service("Orders")

    @service.handler()
    async def order(ctx: restate.Context) -> Any:
        del ctx
        return Order("soup")

    async with HandlerTest() as test:
        with pytest.raises(ConfigurationError, match=r"Orders/order returned Order, which cannot be encoded"):
            await test.run(order)
