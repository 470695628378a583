"""`kallback tasks`: pending tasks, seen and steered."""
