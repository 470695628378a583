// A worker in JavaScript, for Node.js, with kafkajs alone.
import { Kafka, logLevel } from "kafkajs";

const BROKERS = process.env.BROKERS ?? "localhost:9092";
const GROUP = process.env.GROUP ?? "kitchen";
const TASKS = process.env.TASKS ?? "restaurant.prepare";
const RESULTS = process.env.RESULTS ?? "kallback.results"; // this worker answers to no other topic

function cook(order) {
  if (typeof order?.id !== "string") throw new RangeError("an order has an id");
  return { minutes: 12 };
}

function answer(value) {
  try {
    return ["completed", JSON.stringify(cook(JSON.parse(value?.toString() || "null")))];
  } catch (error) { // of the work, not of Kafka: its caller should know, and all other tasks go on
    if (error instanceof SyntaxError || error instanceof RangeError) {
      return ["failed", JSON.stringify({ type: "BadOrder", status: 422, detail: error.message })];
    }
    console.error(error);
    const problem = { type: "urn:kallback:unexpected-error", status: 500, detail: String(error) };
    return ["failed", JSON.stringify({ ...problem, exception: [error?.name ?? "Error"] })];
  }
}

function text(headers, name) {
  const value = headers[name];
  return Buffer.isBuffer(value) ? value.toString() : ""; // absent, null, or there more than once
}

function isTask(headers) { // other records are skipped: a worker must not crash on them
  return text(headers, "kallback-version") === "1"
    && text(headers, "kallback-reply-to") === RESULTS
    && text(headers, "kallback-token") !== ""
    && text(headers, "kallback-task-id") !== "";
}

function isLate(headers) {
  const deadline = text(headers, "kallback-deadline");
  return /^\d+$/.test(deadline) && Date.now() > Number(deadline);
}

async function main() {
  const kafka = new Kafka({ clientId: "kitchen", brokers: BROKERS.split(","), logLevel: logLevel.ERROR });
  const consumer = kafka.consumer({ groupId: GROUP, sessionTimeout: 10_000, readUncommitted: false });
  const producer = kafka.producer({ idempotent: true, maxInFlightRequests: 1 });
  await Promise.all([consumer.connect(), producer.connect()]);
  process.on("SIGTERM", async () => { // leaves the group, when a task that is under way is done: another worker goes on at once
    await consumer.disconnect();
    await producer.disconnect();
    process.exit();
  });
  await consumer.subscribe({ topic: TASKS, fromBeginning: true });
  await consumer.run({
    autoCommit: false,
    eachMessage: async ({ topic, partition, message }) => {
      const headers = message.headers ?? {};
      if (!isTask(headers)) {
        console.log(`skipped, no task: ${topic}[${partition}] offset ${message.offset}`);
      } else if (!isLate(headers)) {
        const [status, value] = answer(message.value);
        const echoed = { "kallback-token": headers["kallback-token"], "kallback-status": status };
        const result = { key: headers["kallback-task-id"], value, headers: echoed };
        await producer.send({ topic: RESULTS, acks: -1, messages: [result] }); // throws: Kafka delivers the task again
      }
      await consumer.commitOffsets([{ topic, partition, offset: (BigInt(message.offset) + 1n).toString() }]);
    },
  });
}

await main();
