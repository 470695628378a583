from shared import Order, Prepared, prepare

from kallback.workers import Worker

worker = Worker("kitchen")


@worker.task(prepare)
async def cook(order: Order) -> Prepared:
    return Prepared(shelf=f"B{order.table}")
