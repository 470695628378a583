package kitchen;

import java.nio.charset.StandardCharsets;
import java.util.Map;
import org.springframework.kafka.listener.KafkaListenerErrorHandler;
import org.springframework.kafka.listener.ListenerExecutionFailedException;
import org.springframework.messaging.Message;
import org.springframework.messaging.support.MessageBuilder;
import org.springframework.stereotype.Component;

/** What the caller should know becomes a failed result; every other exception goes on to the container's handler. */
@Component("problems")
public class Problems implements KafkaListenerErrorHandler {
  @Override
  public Object handleError(Message<?> task, ListenerExecutionFailedException failure) {
    if (failure.getCause() instanceof Kitchen.BadOrder refused) return failed("BadOrder", 422, refused.getMessage());
    throw failure;
  }

  private static Message<?> failed(String type, int status, String detail) {
    return MessageBuilder.withPayload(Map.of("type", type, "status", status, "detail", detail))
        .setHeader("kallback-status", "failed".getBytes(StandardCharsets.UTF_8))
        .build();
  }
}
