"""Documents are converted by workers, and whoever asks waits for them durably."""
