"""`make bench`: the bridge beside what people would use instead, on a real Kafka and a real Restate, in one run.

python -m benchmarks [--full] [--rounds 3] [--only drain,roundtrip,recovery,memory]
python -m benchmarks --against PATH [--rounds 10] [--results 40000]      # is the drain slower than at that checkout?
python -m benchmarks.growth, benchmarks.many, benchmarks.workers, benchmarks.pending_tasks       # ask other questions
python -m benchmarks.report      # writes the tables of docs/performance.md anew from benchmarks/out/bench.json

environment  servers, topics, keys and the Restate service of a run
marks        how it is known when an awakeable was completed, whoever completed it
records      results: signed, written to a topic; positions that a group committed
processes    the commands that are measured, with their CPU and memory
drains, roundtrips, recovery, memory      the measurements
comparison   the drain of two checkouts in alternating rounds
rounds       the order of a round
figures      medians, ratios and targets; pure
report, plot                              what is made of the figures

growth         curves: by partitions, sizes of values, waiting tasks, bridges, history
many           one handler that waits for thousands of tasks
workers        the worker kit beside what people would use instead
pending_tasks  how long lists of pending tasks take
"""
