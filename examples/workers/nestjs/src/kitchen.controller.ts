import { Controller } from "@nestjs/common";
import { MessagePattern, Payload, RpcException } from "@nestjs/microservices";

const TASKS = process.env.TASKS ?? "restaurant.prepare";

interface Order {
  id: string;
}

@Controller()
export class KitchenController {
  @MessagePattern(TASKS)
  cook(@Payload() order: Order | string | null) {
    if (typeof order !== "object" || typeof order?.id !== "string") { // NestJS hands over what is not JSON as a string
      throw new RpcException({ type: "BadOrder", status: 422, detail: "an order has an id" });
    }
    return { minutes: 12 };
  }
}
