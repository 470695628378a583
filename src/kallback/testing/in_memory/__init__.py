"""Tests without servers: `run_task` for worker functions, `HandlerTest` for handlers."""
