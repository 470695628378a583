import "reflect-metadata";
import { Module } from "@nestjs/common";
import { APP_FILTER, NestFactory } from "@nestjs/core";
import type { MicroserviceOptions } from "@nestjs/microservices";
import { KitchenController } from "./kitchen.controller";
import { ProblemsFilter } from "./problems.filter";
import { TaskServer } from "./task.server";

@Module({
  controllers: [KitchenController],
  providers: [{ provide: APP_FILTER, useClass: ProblemsFilter }],
})
class AppModule {}

async function main() {
  const strategy = new TaskServer({
    client: { clientId: "kitchen", brokers: (process.env.BROKERS ?? "localhost:9092").split(",") },
    consumer: { groupId: process.env.GROUP ?? "kitchen", sessionTimeout: 10_000, readUncommitted: false },
    producer: { idempotent: true, maxInFlightRequests: 1 },
    send: { acks: -1 },
    subscribe: { fromBeginning: true },
    postfixId: "",
  });
  const app = await NestFactory.createMicroservice<MicroserviceOptions>(AppModule, { strategy });
  app.enableShutdownHooks(); // SIGTERM: leaves the group, so that another worker goes on at once
  await app.listen();
}

void main();
