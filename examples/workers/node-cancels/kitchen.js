// A worker in JavaScript, for Node.js, with kafkajs alone, for long tasks: it stops for cancels, sends heartbeats,
// and hands back what is under way when it is stopped.
//
// It does one task of each partition at a time. The partition of a long one is paused, so that the group and other
// partitions go on meanwhile.
import { createHash, randomUUID, timingSafeEqual } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { Kafka, logLevel } from "kafkajs";

const BROKERS = process.env.BROKERS ?? "localhost:9092";
const GROUP = process.env.GROUP ?? "kitchen";
const TASKS = process.env.TASKS ?? "restaurant.prepare";
const CONTROL = process.env.CONTROL ?? "kallback.control";
const RESULTS = process.env.RESULTS ?? "kallback.results"; // this worker answers to no other topic
const PROGRESS = process.env.PROGRESS ?? "kallback.progress"; // and sends progress to no other

const MOST_TASKS = 50_000, MOST_ANSWERED = 1_000;
const SHORT_MS = 1_000; // a task that takes less needs no pause
const GRACE_MS = 10_000; // for the work to end after SIGTERM; what does not end is not handed back: another worker gets the task again
const TASK_ID_CHARACTERS = 16, SECRET_CHARACTERS = 43, CANCEL_BYTES = 1024; // a longer one is no cancel

async function cook(order, work) {
  if (typeof order?.id !== "string") throw new RangeError("an order has an id");
  let done = work.lastDetails()?.done; // how far an earlier attempt came
  if (!Number.isInteger(done)) done = 0;
  while (done < (order.seconds ?? 0)) {
    await sleep(1_000, null, { signal: work.signal }); // throws at a cancel or a stop; in your own work: work.signal.throwIfAborted()
    work.report({ done: ++done, of: order.seconds });
  }
  return { minutes: 12 };
}

function text(headers, name) {
  const value = headers[name];
  return Buffer.isBuffer(value) ? value.toString() : ""; // absent, null, or there more than once
}

function number(headers, name) {
  const value = text(headers, name);
  return /^\d{1,15}$/.test(value) ? Number(value) : null;
}

function isTask(headers) { // other records are skipped: a worker must not crash on them
  return text(headers, "kallback-version") === "1"
    && text(headers, "kallback-reply-to") === RESULTS
    && text(headers, "kallback-token") !== ""
    && text(headers, "kallback-task-id") !== "";
}

function isLate(headers) {
  const limits = [number(headers, "kallback-deadline"), number(headers, "kallback-start-by")];
  return limits.some((limit) => limit !== null && Date.now() > limit);
}

function isAuthentic(cancel, headers) { // whether it comes from the caller of the task
  const wanted = Buffer.from(text(headers, "kallback-cancel-hash"));
  if (wanted.length === 0) return true; // an older sdk wrote the task
  if (typeof cancel.secret !== "string") return false;
  let hashed = cancel.secret;
  for (let times = 0; times < 16; times++) {
    hashed = createHash("sha256").update(hashed).digest("base64url");
    if (wanted.length === hashed.length && timingSafeEqual(Buffer.from(hashed), wanted)) return true;
  }
  return false;
}

function isCancel(record) { // other records are skipped: the topic may have those of later versions
  return record?.kallback === 1 && record.action === "cancel"
    && typeof record.task === "string" && record.task.length <= TASK_ID_CHARACTERS
    && (record.attempt == null || Number.isInteger(record.attempt))
    && (record.secret == null || (typeof record.secret === "string" && record.secret.length <= SECRET_CHARACTERS));
}

// The cancels of all tasks, also of those that have not come yet: a cancel can overtake its task. Only the task tells
// real cancels from forged ones. So there are several of one task, and a bound for everything.
class Cancels {
  byTask = new Map();

  remember(value) {
    let cancel;
    try {
      cancel = value && value.length <= CANCEL_BYTES ? JSON.parse(value.toString()) : null;
    } catch {
      return;
    }
    if (!isCancel(cancel)) return;
    const kept = this.byTask.get(cancel.task) ?? [];
    const found = { attempt: cancel.attempt ?? null, secret: cancel.secret ?? null };
    if (!kept.some((each) => each.attempt === found.attempt && each.secret === found.secret)) kept.push(found);
    if (kept.length > 8) kept.splice(4, 1); // the first four and the latest four stay
    this.byTask.set(cancel.task, kept);
    if (this.byTask.size > MOST_TASKS) this.byTask.delete(this.byTask.keys().next().value); // the oldest
  }

  cover(headers) {
    const attempt = number(headers, "kallback-attempt") ?? 1;
    const kept = this.byTask.get(text(headers, "kallback-task-id")) ?? [];
    return kept.some((each) => (each.attempt === null || attempt <= each.attempt) && isAuthentic(each, headers));
  }
}

// A task that is under way.
class Work {
  controller = new AbortController();
  signal = this.controller.signal;
  cancelled = false;
  isOurs = true; // no other worker has got the partition: the offset is committed at the end
  resume = () => {};

  constructor(headers, value, next) {
    Object.assign(this, { headers, value, next });
    this.details = text(headers, "kallback-last-details"); // of the next heartbeat
    this.isTakenBack = text(headers, "kallback-hand-back") === "1";
  }

  lastDetails() { // how far an earlier attempt came, as it was reported; null: unknown
    try {
      return JSON.parse(text(this.headers, "kallback-last-details") || "null");
    } catch {
      return null;
    }
  }

  report(details) {
    this.details = JSON.stringify(details);
  }

  cancel() {
    this.cancelled = true;
    this.controller.abort();
  }

  async answer() { // null: stopped, and the caller takes nothing back
    try {
      return ["completed", JSON.stringify(await cook(JSON.parse(this.value?.toString() || "null"), this))];
    } catch (error) { // of the work, not of Kafka: its caller should know, and all other tasks go on
      if (this.signal.aborted) return this.handedBack();
      if (error instanceof SyntaxError || error instanceof RangeError) {
        return this.failed({ type: "BadOrder", status: 422, detail: error.message });
      }
      console.error(error);
      const problem = { type: "urn:kallback:unexpected-error", status: 500, detail: String(error) };
      return this.failed({ ...problem, exception: [error?.name ?? "Error"] });
    }
  }

  handedBack() {
    if (!this.isTakenBack) return null;
    return this.failed({ type: "urn:kallback:handed-back", status: 503, retryable: true });
  }

  failed(problem) {
    const last = this.isTakenBack && this.details ? { last_details: this.details } : {};
    return ["failed", JSON.stringify({ ...problem, ...last })];
  }
}

class Worker {
  kafka = new Kafka({ clientId: "kitchen", brokers: BROKERS.split(","), logLevel: logLevel.ERROR });
  tasks = this.kafka.consumer({ groupId: GROUP, sessionTimeout: 10_000, maxWaitTimeInMs: 500, readUncommitted: false });
  controlGroup = `${GROUP}-cancels-${randomUUID()}`; // of this process alone: it reads all cancels
  control = this.kafka.consumer({ groupId: this.controlGroup, readUncommitted: false });
  producer = this.kafka.producer({ idempotent: true, maxInFlightRequests: 1 });
  admin = this.kafka.admin();
  cancels = new Cancels();
  underWay = new Map(); // by token
  answered = new Set(); // tokens: a copy of a finished attempt is not done again
  stops = false;

  async run() {
    await Promise.all([this.admin.connect(), this.producer.connect(), this.control.connect(), this.tasks.connect()]);
    await this.readControlToItsEnd();
    this.tasks.on(this.tasks.events.REBALANCING, () => this.leave());
    this.tasks.on(this.tasks.events.GROUP_JOIN, ({ payload }) => this.join(payload.memberAssignment));
    await this.tasks.subscribe({ topic: TASKS, fromBeginning: true });
    await this.tasks.run({ autoCommit: false, eachMessage: (record) => this.take(record) });
  }

  async readControlToItsEnd() { // and go on
    if (!(await this.admin.listTopics()).includes(CONTROL)) {
      console.error(`${CONTROL} is missing, so cancels would have no effect`);
      process.exit(1);
    }
    const ends = new Map();
    for (const { partition, low, high } of await this.admin.fetchTopicOffsets(CONTROL)) {
      if (BigInt(low) < BigInt(high)) ends.set(partition, BigInt(high));
    }
    await this.control.subscribe({ topic: CONTROL, fromBeginning: true });
    const read = new Promise((resolve) => {
      if (ends.size === 0) resolve();
      this.control.on(this.control.events.END_BATCH_PROCESS, ({ payload }) => {
        if (BigInt(payload.lastOffset) + 1n >= (ends.get(payload.partition) ?? 0n)) ends.delete(payload.partition);
        if (ends.size === 0) resolve();
      });
    });
    await this.control.run({ autoCommit: false, eachMessage: async ({ message }) => this.cancel(message.value) });
    await read;
  }

  cancel(value) {
    this.cancels.remember(value);
    for (const work of this.underWay.values()) {
      if (this.cancels.cover(work.headers)) work.cancel();
    }
  }

  async take({ topic, partition, message, pause }) {
    const headers = message.headers ?? {}, token = text(headers, "kallback-token");
    const place = `${topic}[${partition}] offset ${message.offset}`;
    const next = { topic, partition, offset: (BigInt(message.offset) + 1n).toString() };
    const same = this.underWay.get(token);
    if (same !== undefined) { // the group has changed, and Kafka delivers the task again
      same.resume = pause();
      return;
    }
    if (!isTask(headers)) {
      console.log(`skipped, no task: ${place}`);
    } else if (isLate(headers) || this.answered.has(token)) {
      console.log(`skipped, late or a copy: ${place}`);
    } else if (this.cancels.cover(headers)) {
      console.log(`cancelled: ${place}`);
    } else if (!this.stops) {
      const work = new Work(headers, message.value, next);
      this.underWay.set(token, work);
      work.done = this.do(work, token).catch((error) => { // of Kafka, which delivers the task again
        console.error(error);
        process.exit(1);
      });
      await Promise.race([work.done, sleep(SHORT_MS)]);
      if (this.underWay.has(token)) work.resume = pause();
      return;
    }
    if (!this.stops) await this.tasks.commitOffsets([next]);
  }

  async do(work, token) {
    this.sendProgress(work, "started");
    const every = Math.min(Math.max(100, number(work.headers, "kallback-heartbeat-every") ?? 5_000), 60_000); // a timer's limits
    const beating = setInterval(() => this.sendProgress(work, "heartbeat"), every);
    const found = await work.answer();
    if (work.cancelled) {
      console.log(`cancelled: task ${text(work.headers, "kallback-task-id")}`);
    } else if (found !== null) {
      await this.sendResult(work.headers, ...found);
      this.answered.add(token);
      if (this.answered.size > MOST_ANSWERED) this.answered.delete(this.answered.values().next().value);
    }
    clearInterval(beating);
    this.underWay.delete(token);
    if (work.isOurs && (work.cancelled || found !== null)) await this.commit(work);
    work.resume();
  }

  async commit({ next }) {
    try {
      await this.tasks.commitOffsets([next]);
    } catch (error) { // the group is changing: another worker gets the task again
      console.error(`not committed: ${next.topic}[${next.partition}] offset ${next.offset}: ${error.message}`);
    }
  }

  // Partitions may be given to other workers now. What is under way goes on here. An attempt whose caller sends another
  // one if its heartbeats stop needs its record no longer, so that no other worker begins it anew. All others are
  // delivered again, because only that continues them if this process dies; the first result counts.
  async leave() {
    const isWatched = (work) => work.isOurs && text(work.headers, "kallback-retry-lost") === "1";
    await Promise.all([...this.underWay.values()].filter(isWatched).map((work) => {
      work.isOurs = false;
      return this.commit(work);
    }));
  }

  join(owned) { // partitions, by topic
    for (const work of this.underWay.values()) {
      if (!owned[work.next.topic]?.includes(work.next.partition)) work.isOurs = false;
    }
  }

  sendProgress(work, signal) {
    const { headers } = work;
    if (text(headers, "kallback-progress-to") !== PROGRESS) return;
    const names = ["kallback-token", "kallback-heartbeat-every"].filter((name) => headers[name] !== undefined);
    const echoed = Object.fromEntries(names.map((name) => [name, headers[name]]));
    const told = { "kallback-signal": signal, "kallback-at": String(Date.now()) };
    const record = { key: headers["kallback-task-id"], value: work.details, headers: { ...echoed, ...told } };
    this.producer.send({ topic: PROGRESS, acks: -1, messages: [record] })
      .catch((error) => console.error(`not sent to ${PROGRESS}: ${error.message}`)); // the next one follows
  }

  async sendResult(headers, status, value) {
    const echoed = { "kallback-token": headers["kallback-token"], "kallback-status": status };
    await this.producer.send({
      topic: RESULTS, acks: -1, messages: [{ key: headers["kallback-task-id"], value, headers: echoed }],
    });
  }

  async stop() {
    this.stops = true;
    const works = [...this.underWay.values()];
    for (const work of works) work.controller.abort();
    await Promise.race([Promise.all(works.map((work) => work.done)), sleep(GRACE_MS)]);
    await Promise.all([this.tasks.disconnect(), this.control.disconnect(), this.producer.disconnect()]);
    await this.admin.deleteGroups([this.controlGroup]).catch(() => {}); // Kafka removes it after a week
    process.exit();
  }
}

const worker = new Worker();
process.on("SIGTERM", () => worker.stop());
await worker.run();
