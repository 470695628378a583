package kitchen;

import org.springframework.kafka.annotation.KafkaListener;
import org.springframework.messaging.handler.annotation.SendTo;
import org.springframework.stereotype.Component;

/** Spring sends what {@code cook} returns to the topic in kafka_replyTopic, with the kafka_correlationId of the task. */
@Component
public class Kitchen {
  public record Order(String id) {}

  public record Prepared(int minutes) {}

  public static class BadOrder extends RuntimeException {
    BadOrder(String detail) {
      super(detail);
    }
  }

  @KafkaListener(topics = "${kitchen.tasks}", errorHandler = "problems")
  @SendTo
  public Prepared cook(Order order) {
    if (order.id() == null) throw new BadOrder("an order has an id");
    return new Prepared(12);
  }
}
