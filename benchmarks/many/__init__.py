"""What it takes one handler to start thousands of tasks and to wait for all of them."""
