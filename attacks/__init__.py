"""`make attack`: what a writer without a key can do to a bridge and a worker, on a real Kafka and a real Restate.

    python -m attacks [--short] [--limit MIB] [--list] [NAME ...]

table         every attack with its bounds
cases         the attacks by what they write: batches, headers, values, floods, tasks, cancels, ...
attacker      writes with a client, or bytes that no client writes (`raw_batches`)
installation  service, bridge and worker of one attack, as processes; `app` and `worker` are their programs
calls         the good calls that go on meanwhile
measurements  memory, probes, log lines, positions, bytes; `measured` times the event loops from inside
run           one attack from start to measurement
verdicts      measurements against bounds; pure
report        the table that is printed; pure

Everything listens on loopback, writes a bounded number of bytes and ends after a bounded time.
"""
