import { ServerKafka } from "@nestjs/microservices";
import type { EachMessagePayload, IHeaders, RecordMetadata } from "kafkajs";

const RESULTS = process.env.RESULTS ?? "kallback.results"; // this worker answers to no other topic

function text(headers: IHeaders, name: string): string {
  const value = headers[name];
  return Buffer.isBuffer(value) ? value.toString() : ""; // absent, null, or there more than once
}

function isTask(headers: IHeaders): boolean { // other records are skipped: a worker must not crash on them
  return text(headers, "kallback-version") === "1"
    && text(headers, "kallback-reply-to") === RESULTS
    && text(headers, "kafka_replyTopic") === RESULTS // where NestJS sends the answer
    && text(headers, "kafka_correlationId") !== "";
}

function isLate(headers: IHeaders): boolean {
  const deadline = text(headers, "kallback-deadline");
  return /^\d+$/.test(deadline) && Date.now() > Number(deadline);
}

/** NestJS's own Kafka server, which also skips what is no task, and waits until an answer is acknowledged. */
export class TaskServer extends ServerKafka {
  private answered?: () => void;

  override async handleMessage(payload: EachMessagePayload): Promise<void> {
    const headers = payload.message.headers ?? {};
    if (!isTask(headers) || isLate(headers)) {
      console.log(`skipped: ${payload.topic}[${payload.partition}] offset ${payload.message.offset}`);
      return;
    }
    const answered = new Promise<void>((resolve) => (this.answered = resolve));
    await super.handleMessage(payload);
    await answered; // only then kafkajs commits the offset; if it fails, Kafka delivers the task again
  }

  override async sendMessage(...message: Parameters<ServerKafka["sendMessage"]>): Promise<RecordMetadata[]> {
    const sent = await super.sendMessage(...message);
    this.answered?.();
    return sent;
  }
}
