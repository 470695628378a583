"""How many trivial tasks a second a worker does: the worker kit beside FastStream and the loops that people write."""
