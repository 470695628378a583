package kitchen;

import java.util.concurrent.CompletableFuture;
import org.slf4j.LoggerFactory;
import org.springframework.kafka.core.KafkaTemplate;
import org.springframework.kafka.core.ProducerFactory;
import org.springframework.kafka.support.SendResult;
import org.springframework.kafka.support.converter.RecordMessageConverter;
import org.springframework.messaging.Message;
import org.springframework.stereotype.Component;

/**
 * Waits until a reply is acknowledged. Spring Kafka commits the task's offset while the reply is on its way, and drops
 * what sending it raises: without this, a crash at that moment, or a failure to send, loses the result.
 */
@Component
public class AcknowledgedReplies extends KafkaTemplate<Object, Object> {
  AcknowledgedReplies(ProducerFactory<Object, Object> producers, RecordMessageConverter converter) {
    super(producers);
    setMessageConverter(converter);
  }

  @Override
  public CompletableFuture<SendResult<Object, Object>> send(Message<?> message) {
    try {
      var sent = super.send(message);
      sent.join();
      return sent;
    } catch (RuntimeException failure) {
      LoggerFactory.getLogger(getClass()).error("a reply was not acknowledged: the process ends", failure);
      Runtime.getRuntime().halt(1); // an exception would not keep Spring from the commit; Kafka delivers the task again
      throw failure;
    }
  }
}
