"""One attempt of a task: what its record means, how it runs, and what its caller is told."""
