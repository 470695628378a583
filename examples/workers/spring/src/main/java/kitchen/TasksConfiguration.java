package kitchen;

import java.nio.charset.StandardCharsets;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.common.TopicPartition;
import org.springframework.beans.factory.annotation.Value;
import org.springframework.context.annotation.Bean;
import org.springframework.context.annotation.Configuration;
import org.springframework.kafka.core.KafkaTemplate;
import org.springframework.kafka.listener.CommonErrorHandler;
import org.springframework.kafka.listener.DeadLetterPublishingRecoverer;
import org.springframework.kafka.listener.DefaultErrorHandler;
import org.springframework.kafka.listener.adapter.RecordFilterStrategy;
import org.springframework.kafka.support.converter.ByteArrayJacksonJsonMessageConverter;
import org.springframework.kafka.support.converter.RecordMessageConverter;
import org.springframework.util.backoff.FixedBackOff;

/** What a listener needs to be a good worker: each bean is picked up by Spring Boot. */
@Configuration
public class TasksConfiguration {
  /** JSON in both directions, whatever the reply's type. */
  @Bean
  RecordMessageConverter converter() {
    return new ByteArrayJacksonJsonMessageConverter();
  }

  /** Other records are skipped: what is no task, another version, another reply topic, and tasks that came too late. */
  @Bean
  RecordFilterStrategy<Object, Object> onlyTasks(@Value("${kitchen.results}") String results) {
    return record -> !text(record, "kallback-version").equals("1")
        || !text(record, "kallback-reply-to").equals(results)
        || !text(record, "kafka_replyTopic").equals(results)
        || text(record, "kafka_correlationId").isEmpty()
        || isLate(record);
  }

  /**
   * A task that fails three times goes to the results topic, with its headers and the exception's: bridges know such a
   * record as a failed result. Without this, the caller would wait until its deadline. Spring's default is ten tries.
   */
  @Bean
  CommonErrorHandler givenUp(KafkaTemplate<Object, Object> template, @Value("${kitchen.results}") String results) {
    var recoverer = new DeadLetterPublishingRecoverer(template, (task, failure) -> new TopicPartition(results, -1));
    return new DefaultErrorHandler(recoverer, new FixedBackOff(1000, 2));
  }

  private static boolean isLate(ConsumerRecord<?, ?> task) {
    String deadline = text(task, "kallback-deadline");
    return deadline.matches("[0-9]{1,18}") && System.currentTimeMillis() > Long.parseLong(deadline);
  }

  private static String text(ConsumerRecord<?, ?> record, String name) {
    var header = record.headers().lastHeader(name);
    return header == null || header.value() == null ? "" : new String(header.value(), StandardCharsets.UTF_8);
  }
}
