import com.fasterxml.jackson.core.JacksonException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.MissingNode;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Base64;
import java.util.Collection;
import java.util.Collections;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.OptionalLong;
import java.util.Set;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Executors;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.ScheduledFuture;
import java.util.concurrent.TimeUnit;
import org.apache.kafka.clients.consumer.CommitFailedException;
import org.apache.kafka.clients.consumer.ConsumerRebalanceListener;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.RebalanceInProgressException;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/**
 * A worker in Java, with kafka-clients and Jackson alone, for long tasks: it stops for cancels, sends heartbeats,
 * and hands back what is under way when it is stopped.
 *
 * <p>It does one task of each partition at a time, each in a thread of its own. The partition is paused meanwhile, so
 * that the main thread, which makes all calls to both consumers, stays in the group and reads cancels.
 */
public final class KitchenWithCancels {
  static final String BROKERS = System.getenv().getOrDefault("BROKERS", "localhost:9092");
  static final String GROUP = System.getenv().getOrDefault("GROUP", "kitchen");
  static final String TASKS = System.getenv().getOrDefault("TASKS", "restaurant.prepare");
  static final String CONTROL = System.getenv().getOrDefault("CONTROL", "kallback.control");
  /** This worker answers to no other topic. */
  static final String RESULTS = System.getenv().getOrDefault("RESULTS", "kallback.results");
  /** And sends progress to no other. */
  static final String PROGRESS = System.getenv().getOrDefault("PROGRESS", "kallback.progress");

  static final Duration TICK = Duration.ofMillis(100);
  /** For the work to end after SIGTERM. What does not end is not handed back: another worker gets the task again. */
  static final Duration GRACE = Duration.ofSeconds(10);
  static final ObjectMapper JSON = new ObjectMapper();
  static volatile boolean stops;

  final KafkaConsumer<byte[], byte[]> tasks =
      consumer(Map.of("group.id", GROUP, "session.timeout.ms", 10_000, "max.poll.records", 1));
  final KafkaConsumer<byte[], byte[]> control = consumer(Map.of()); // without a group: each process reads all cancels
  final KafkaProducer<byte[], byte[]> results = producer(Map.of("acks", "all", "enable.idempotence", true));
  final KafkaProducer<byte[], byte[]> progress = // a heartbeat does not wait for Kafka: the next one follows
      producer(Map.of("max.block.ms", 1_000, "request.timeout.ms", 4_000, "delivery.timeout.ms", 5_000));
  final ScheduledExecutorService timer = Executors.newSingleThreadScheduledExecutor(KitchenWithCancels::daemon);
  final Cancels cancels = new Cancels();
  final Map<String, Work> underWay = new HashMap<>(); // by token
  final BlockingQueue<Work> finished = new LinkedBlockingQueue<>();
  /** Tokens: a copy of a finished attempt is not done again. */
  final Set<String> answered = Collections.newSetFromMap(bounded(1_000));

  public static void main(String[] args) throws Exception {
    var main = Thread.currentThread();
    Runtime.getRuntime().addShutdownHook(new Thread(() -> { // SIGTERM: another worker goes on at once
      stops = true;
      try {
        main.join();
      } catch (InterruptedException ended) {
        Thread.currentThread().interrupt();
      }
    }));
    new KitchenWithCancels().run();
  }

  static Map<String, Object> cook(JsonNode order, Work work) throws Exception {
    if (!order.path("id").isTextual()) throw new IllegalArgumentException("an order has an id");
    int seconds = order.path("seconds").asInt();
    int done = work.lastDetails().path("done").asInt(); // how far an earlier attempt came; 0: none did
    while (done < seconds) {
      Thread.sleep(1_000); // throws at a cancel or a stop; in your own work: look at Thread.interrupted() between two steps
      work.report(Map.of("done", ++done, "of", seconds));
    }
    return Map.of("minutes", 12);
  }

  void run() throws Exception {
    try (tasks; control; results; progress) {
      readCancelsToTheEnd();
      tasks.subscribe(List.of(TASKS), new ConsumerRebalanceListener() {
        @Override
        public void onPartitionsRevoked(Collection<TopicPartition> gone) {
          leave(gone);
        }

        @Override
        public void onPartitionsAssigned(Collection<TopicPartition> added) {
          for (var work : underWay.values()) { // a partition that comes back is paused as it was when it left
            tasks.pause(added.stream().filter(work.held::contains).toList());
          }
        }
      });
      while (!stops) {
        var records = tasks.poll(underWay.isEmpty() ? TICK : Duration.ZERO);
        readCancels(Duration.ZERO);
        records.forEach(this::take);
        var wait = records.isEmpty() && !underWay.isEmpty() ? TICK : Duration.ZERO;
        var work = finished.poll(wait.toMillis(), TimeUnit.MILLISECONDS);
        if (work != null) settle(work);
      }
      handBack();
    }
  }

  /**
   * Other workers get these partitions. What is under way goes on here. An attempt whose caller sends another one if its
   * heartbeats stop needs its record no longer, so that no other worker begins it anew. All others are delivered again,
   * because only that continues them if this process dies; the first result counts.
   */
  void leave(Collection<TopicPartition> gone) {
    Map<TopicPartition, OffsetAndMetadata> watched = new HashMap<>();
    for (var work : underWay.values()) {
      if (text(work.task, "kallback-retry-lost").equals("1")) watched.putAll(work.offsets);
      work.offsets.keySet().removeAll(gone);
    }
    watched.keySet().retainAll(gone);
    commit(watched);
  }

  /** Stops what is under way, so that the next attempts go on where these end. */
  void handBack() throws InterruptedException, ExecutionException {
    underWay.values().forEach(Work::stop);
    long end = System.nanoTime() + GRACE.toNanos();
    while (!underWay.isEmpty()) {
      var work = finished.poll(end - System.nanoTime(), TimeUnit.NANOSECONDS);
      if (work == null) return;
      settle(work);
    }
  }

  void readCancelsToTheEnd() {
    var found = control.partitionsFor(CONTROL);
    if (found.isEmpty()) throw new IllegalStateException(CONTROL + " is missing, so cancels would have no effect");
    var partitions = found.stream().map(each -> new TopicPartition(each.topic(), each.partition())).toList();
    control.assign(partitions);
    control.seekToBeginning(partitions);
    var ends = control.endOffsets(partitions);
    while (!stops && partitions.stream().anyMatch(each -> control.position(each) < ends.get(each))) readCancels(TICK);
  }

  void readCancels(Duration wait) {
    var records = control.poll(wait);
    if (records.isEmpty()) return;
    records.forEach(record -> cancels.remember(record.value()));
    underWay.values().stream().filter(work -> cancels.cover(work.task)).forEach(Work::cancel);
  }

  void take(ConsumerRecord<byte[], byte[]> record) {
    var partition = new TopicPartition(record.topic(), record.partition());
    var next = new OffsetAndMetadata(record.offset() + 1);
    var work = underWay.get(text(record, "kallback-token")); // if the group has changed, Kafka delivers the task again
    if (work == null) {
      var reason = reasonToSkip(record);
      if (reason != null) {
        System.out.printf("%s: %s offset %d%n", reason, partition, record.offset());
        commit(Map.of(partition, next));
        return;
      }
      work = begin(record);
    }
    work.offsets.put(partition, next);
    work.held.add(partition);
    tasks.pause(List.of(partition));
  }

  String reasonToSkip(ConsumerRecord<byte[], byte[]> record) { // null: none
    if (!isTask(record)) return "skipped, no task";
    if (isLate(record) || answered.contains(text(record, "kallback-token"))) return "skipped, late or a copy";
    return cancels.cover(record) ? "cancelled" : null;
  }

  Work begin(ConsumerRecord<byte[], byte[]> task) {
    var work = new Work(task, finished);
    underWay.put(text(task, "kallback-token"), work);
    sendProgress(work, "started");
    long every = Math.max(100, number(task, "kallback-heartbeat-every").orElse(5_000));
    Runnable beat = () -> sendProgress(work, "heartbeat");
    work.heartbeats = timer.scheduleAtFixedRate(beat, every, every, TimeUnit.MILLISECONDS);
    work.thread.start();
    return work;
  }

  void settle(Work work) throws InterruptedException, ExecutionException {
    String token = text(work.task, "kallback-token");
    if (work.cancelled) {
      System.out.printf("cancelled: task %s%n", text(work.task, "kallback-task-id"));
    } else if (work.result == null) { // stopped, and its caller takes nothing back: Kafka delivers the task again
      work.offsets.clear();
    } else {
      results.send(work.result).get(); // throws if it was not acknowledged: Kafka delivers the task again
      answered.add(token);
    }
    work.heartbeats.cancel(false);
    underWay.remove(token);
    commit(work.offsets);
    work.held.retainAll(tasks.assignment());
    tasks.resume(work.held);
  }

  void commit(Map<TopicPartition, OffsetAndMetadata> offsets) {
    try {
      tasks.commitSync(offsets);
    } catch (CommitFailedException | RebalanceInProgressException error) { // another worker gets the task again
      System.err.printf("not committed: %s: %s%n", offsets, error.getMessage());
    }
  }

  void sendProgress(Work work, String signal) {
    if (!text(work.task, "kallback-progress-to").equals(PROGRESS)) return;
    var record = new ProducerRecord<>(PROGRESS, header(work.task, "kallback-task-id"), work.details);
    for (var name : List.of("kallback-token", "kallback-heartbeat-every")) {
      if (header(work.task, name) != null) record.headers().add(name, header(work.task, name));
    }
    record.headers().add("kallback-signal", bytes(signal));
    record.headers().add("kallback-at", bytes(String.valueOf(System.currentTimeMillis())));
    progress.send(record, (metadata, error) -> {
      if (error != null) System.err.printf("not sent to %s: %s%n", PROGRESS, error.getMessage());
    });
  }

  /** A task that is under way. */
  static final class Work implements Runnable {
    final ConsumerRecord<byte[], byte[]> task;
    final BlockingQueue<Work> finished;
    final Thread thread = daemon(this);
    /** What is committed at its end: the offsets behind its record, and behind a copy that came meanwhile. */
    final Map<TopicPartition, OffsetAndMetadata> offsets = new HashMap<>();
    /** What is paused until its end, also if it was given to another worker meanwhile and comes back. */
    final Set<TopicPartition> held = new HashSet<>();
    ScheduledFuture<?> heartbeats;
    boolean cancelled;
    /** Null if the work was stopped, unless its caller takes it back. */
    ProducerRecord<byte[], byte[]> result;
    volatile byte[] details; // of the next heartbeat
    private volatile boolean stopped;

    Work(ConsumerRecord<byte[], byte[]> task, BlockingQueue<Work> finished) {
      this.task = task;
      this.finished = finished;
      details = Objects.requireNonNullElse(header(task, "kallback-last-details"), new byte[0]);
    }

    /** How far an earlier attempt came, as it was reported; missing if there is none, or if it cannot be read. */
    JsonNode lastDetails() {
      try {
        return JSON.readTree(Objects.requireNonNullElse(header(task, "kallback-last-details"), new byte[0]));
      } catch (IOException unreadable) {
        return MissingNode.getInstance();
      }
    }

    void report(Object how) {
      details = json(how);
    }

    void cancel() {
      cancelled = true;
      stop();
    }

    void stop() {
      if (stopped) return;
      stopped = true;
      thread.interrupt();
    }

    @Override
    public void run() {
      try {
        result = answer();
      } catch (Throwable error) { // of the work, not of Kafka: its caller should know, and all other tasks go on
        result = stopped ? handedBack() : unexpected(error);
      } finally {
        finished.add(this);
      }
    }

    ProducerRecord<byte[], byte[]> answer() throws Exception {
      Map<String, Object> value;
      try {
        value = cook(JSON.readTree(task.value() == null ? new byte[0] : task.value()), this);
      } catch (JacksonException | IllegalArgumentException refused) { // what the caller should know
        return failed(Map.of("type", "BadOrder", "status", 422, "detail", String.valueOf(refused.getMessage())));
      }
      return reply("completed", value);
    }

    ProducerRecord<byte[], byte[]> unexpected(Throwable bug) {
      bug.printStackTrace();
      var classes = List.of(bug.getClass().getName());
      return failed(Map.of(
          "type", "urn:kallback:unexpected-error", "status", 500, "detail", bug.toString(), "exception", classes));
    }

    ProducerRecord<byte[], byte[]> handedBack() {
      return isTakenBack() ? failed(Map.of("type", "urn:kallback:handed-back", "status", 503, "retryable", true)) : null;
    }

    boolean isTakenBack() {
      return text(task, "kallback-hand-back").equals("1");
    }

    ProducerRecord<byte[], byte[]> failed(Map<String, Object> problem) {
      Map<String, Object> told = new HashMap<>(problem);
      if (isTakenBack() && details.length > 0) told.put("last_details", new String(details, StandardCharsets.UTF_8));
      return reply("failed", told);
    }

    ProducerRecord<byte[], byte[]> reply(String status, Object value) {
      var result = new ProducerRecord<>(RESULTS, header(task, "kallback-task-id"), json(value));
      result.headers().add("kallback-token", header(task, "kallback-token"));
      result.headers().add("kallback-status", bytes(status));
      return result;
    }
  }

  /** Cancels the attempts up to one, or all (null). */
  record Cancel(String task, Long attempt, String secret) {
    static final int TASK_ID_CHARACTERS = 16, SECRET_CHARACTERS = 43, MOST_BYTES = 1024; // a longer one is no cancel

    /** Null for other records: the topic may have those of later versions. */
    static Cancel read(byte[] value) {
      JsonNode record;
      try {
        record = JSON.readTree(value == null || value.length > MOST_BYTES ? new byte[0] : value);
      } catch (IOException unreadable) {
        return null;
      }
      JsonNode task = record.path("task"), attempt = record.path("attempt"), secret = record.path("secret");
      boolean known = record.path("kallback").isInt() && record.path("kallback").intValue() == 1
          && record.path("action").asText().equals("cancel")
          && task.isTextual() && task.textValue().length() <= TASK_ID_CHARACTERS
          && (isNone(attempt) || attempt.isIntegralNumber() && attempt.canConvertToLong())
          && (isNone(secret) || secret.isTextual() && secret.textValue().length() <= SECRET_CHARACTERS);
      if (!known) return null;
      return new Cancel(task.textValue(), isNone(attempt) ? null : attempt.longValue(), secret.textValue());
    }

    boolean covers(ConsumerRecord<byte[], byte[]> record) {
      return (attempt == null || number(record, "kallback-attempt").orElse(1) <= attempt) && isAuthentic(record);
    }

    /** Whether it comes from the caller of the task. */
    boolean isAuthentic(ConsumerRecord<byte[], byte[]> record) {
      byte[] wanted = header(record, "kallback-cancel-hash");
      if (wanted == null) return true; // an older sdk wrote the task
      if (secret == null) return false;
      byte[] hashed = bytes(secret);
      for (int times = 0; times < 16; times++) {
        hashed = Base64.getUrlEncoder().withoutPadding().encode(sha256(hashed));
        if (MessageDigest.isEqual(hashed, wanted)) return true;
      }
      return false;
    }

    private static boolean isNone(JsonNode node) {
      return node.isNull() || node.isMissingNode();
    }
  }

  /**
   * The cancels of all tasks, also of those that have not come yet: a cancel can overtake its task. Only the task tells
   * real cancels from forged ones. So there are several of one task, and a bound for everything.
   */
  static final class Cancels {
    private final Map<String, List<Cancel>> byTask = bounded(50_000);

    void remember(byte[] value) {
      var cancel = Cancel.read(value);
      if (cancel == null) return;
      var kept = byTask.computeIfAbsent(cancel.task(), task -> new ArrayList<>());
      if (!kept.contains(cancel)) kept.add(cancel);
      if (kept.size() > 8) kept.remove(4); // the first four and the latest four stay
    }

    boolean cover(ConsumerRecord<byte[], byte[]> record) {
      var kept = byTask.getOrDefault(text(record, "kallback-task-id"), List.of());
      return kept.stream().anyMatch(cancel -> cancel.covers(record));
    }
  }

  /** Other records are skipped: a worker must not crash on them. */
  static boolean isTask(ConsumerRecord<byte[], byte[]> record) {
    return text(record, "kallback-version").equals("1")
        && text(record, "kallback-reply-to").equals(RESULTS)
        && header(record, "kallback-token") != null
        && header(record, "kallback-task-id") != null;
  }

  static boolean isLate(ConsumerRecord<byte[], byte[]> task) {
    long now = System.currentTimeMillis();
    return number(task, "kallback-deadline").orElse(now) < now || number(task, "kallback-start-by").orElse(now) < now;
  }

  static byte[] header(ConsumerRecord<byte[], byte[]> record, String name) {
    var header = record.headers().lastHeader(name);
    return header == null ? null : header.value();
  }

  static String text(ConsumerRecord<byte[], byte[]> record, String name) {
    byte[] value = header(record, name);
    return value == null ? "" : new String(value, StandardCharsets.UTF_8);
  }

  static OptionalLong number(ConsumerRecord<byte[], byte[]> record, String name) {
    String value = text(record, name);
    return value.matches("[0-9]{1,18}") ? OptionalLong.of(Long.parseLong(value)) : OptionalLong.empty();
  }

  static byte[] json(Object value) {
    try {
      return JSON.writeValueAsBytes(value);
    } catch (JacksonException error) {
      throw new UncheckedIOException(error);
    }
  }

  static byte[] bytes(String text) {
    return text.getBytes(StandardCharsets.UTF_8);
  }

  static byte[] sha256(byte[] value) {
    try {
      return MessageDigest.getInstance("SHA-256").digest(value);
    } catch (NoSuchAlgorithmException missing) {
      throw new AssertionError(missing); // each Java platform has it
    }
  }

  /** A map that drops its oldest entry when it is full. */
  static <K, V> Map<K, V> bounded(int most) {
    return new LinkedHashMap<>() {
      @Override
      protected boolean removeEldestEntry(Map.Entry<K, V> oldest) {
        return size() > most;
      }
    };
  }

  static Thread daemon(Runnable work) { // the process does not wait for it to end
    var thread = new Thread(work);
    thread.setDaemon(true);
    return thread;
  }

  static KafkaConsumer<byte[], byte[]> consumer(Map<String, Object> own) {
    Map<String, Object> reading = new HashMap<>(own);
    reading.putAll(Map.of(
        "bootstrap.servers", BROKERS, "auto.offset.reset", "earliest",
        "enable.auto.commit", false, "isolation.level", "read_committed"));
    return new KafkaConsumer<>(reading, new ByteArrayDeserializer(), new ByteArrayDeserializer());
  }

  static KafkaProducer<byte[], byte[]> producer(Map<String, Object> own) {
    Map<String, Object> writing = new HashMap<>(own);
    writing.put("bootstrap.servers", BROKERS);
    return new KafkaProducer<>(writing, new ByteArraySerializer(), new ByteArraySerializer());
  }
}
