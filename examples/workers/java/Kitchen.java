import com.fasterxml.jackson.core.JacksonException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Future;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/** A worker in Java, with kafka-clients and Jackson alone. */
public final class Kitchen {
  static final String BROKERS = System.getenv().getOrDefault("BROKERS", "localhost:9092");
  static final String GROUP = System.getenv().getOrDefault("GROUP", "kitchen");
  static final String TASKS = System.getenv().getOrDefault("TASKS", "restaurant.prepare");
  static final String RESULTS = System.getenv().getOrDefault("RESULTS", "kallback.results");
  static final ObjectMapper JSON = new ObjectMapper();
  static volatile boolean stops;

  public static void main(String[] args) throws Exception {
    Map<String, Object> reading = Map.of(
        "bootstrap.servers", BROKERS, "group.id", GROUP, "auto.offset.reset", "earliest",
        "enable.auto.commit", false, "isolation.level", "read_committed", "session.timeout.ms", 10_000);
    Map<String, Object> writing = Map.of(
        "bootstrap.servers", BROKERS, "acks", "all", "enable.idempotence", true);
    try (var consumer = new KafkaConsumer<>(reading, new ByteArrayDeserializer(), new ByteArrayDeserializer());
        var producer = new KafkaProducer<>(writing, new ByteArraySerializer(), new ByteArraySerializer())) {
      consumer.subscribe(List.of(TASKS));
      var worker = Thread.currentThread();
      Runtime.getRuntime().addShutdownHook(new Thread(() -> { // SIGTERM: leaves the group, so that another worker goes on at once
        stops = true;
        try {
          worker.join();
        } catch (InterruptedException ended) {
          Thread.currentThread().interrupt();
        }
      }));
      while (!stops) {
        List<Future<RecordMetadata>> sent = new ArrayList<>();
        for (var record : consumer.poll(Duration.ofSeconds(1))) {
          if (!isTask(record)) {
            System.out.printf("skipped, no task: %s[%d] offset %d%n", record.topic(), record.partition(), record.offset());
          } else if (!isLate(record)) {
            sent.add(producer.send(answer(record)));
          }
        }
        for (var result : sent) result.get(); // throws if one was not acknowledged: Kafka delivers the tasks again
        consumer.commitSync();
      }
    }
  }

  static ProducerRecord<byte[], byte[]> answer(ConsumerRecord<byte[], byte[]> task) throws IOException {
    String status = "completed";
    Map<String, Object> value;
    try {
      value = cook(JSON.readTree(task.value() == null ? new byte[0] : task.value()));
    } catch (JacksonException | IllegalArgumentException refused) { // what the caller should know
      status = "failed";
      value = Map.of("type", "BadOrder", "status", 422, "detail", String.valueOf(refused.getMessage()));
    } catch (Throwable bug) { // of the work, not of Kafka: its caller should know, and all other tasks go on
      bug.printStackTrace();
      status = "failed";
      value = Map.of(
          "type", "urn:kallback:unexpected-error", "status", 500, "detail", bug.toString(),
          "exception", List.of(bug.getClass().getName()));
    }
    var result = new ProducerRecord<>(RESULTS, header(task, "kallback-task-id"), JSON.writeValueAsBytes(value));
    result.headers().add("kallback-token", header(task, "kallback-token"));
    result.headers().add("kallback-status", status.getBytes(StandardCharsets.UTF_8));
    return result;
  }

  static Map<String, Object> cook(JsonNode order) {
    if (!order.path("id").isTextual()) throw new IllegalArgumentException("an order has an id");
    return Map.of("minutes", 12);
  }

  /** Other records are skipped: a worker must not crash on them. */
  static boolean isTask(ConsumerRecord<byte[], byte[]> record) {
    return text(record, "kallback-version").equals("1")
        && text(record, "kallback-reply-to").equals(RESULTS)
        && header(record, "kallback-token") != null
        && header(record, "kallback-task-id") != null;
  }

  static boolean isLate(ConsumerRecord<byte[], byte[]> task) {
    String deadline = text(task, "kallback-deadline");
    return deadline.matches("[0-9]{1,18}") && System.currentTimeMillis() > Long.parseLong(deadline);
  }

  static byte[] header(ConsumerRecord<byte[], byte[]> record, String name) {
    var header = record.headers().lastHeader(name);
    return header == null ? null : header.value();
  }

  static String text(ConsumerRecord<byte[], byte[]> record, String name) {
    byte[] value = header(record, name);
    return value == null ? "" : new String(value, StandardCharsets.UTF_8);
  }
}
