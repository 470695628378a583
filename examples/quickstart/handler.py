import restate
from shared import Order, prepare

from kallback.sdk import Callbacks

callbacks = Callbacks.from_env()
orders = restate.Service("Orders")


@orders.handler()
async def place(ctx: restate.Context, dish: str) -> str:
    prepared = await callbacks.call(ctx, prepare, Order(dish, table=4))
    return f"{dish} waits on shelf {prepared.shelf}"


app = callbacks.app([orders])
