"""From fetched records to attempts: the fetch loop, the scheduler, the crash guard, the consumer."""
