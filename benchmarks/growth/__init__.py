"""How rate, CPU and memory of bridges grow with partitions, sizes of values, waiting tasks, bridges and history.

curves             the curves, their figures and tables; pure
drained            curves of drains: partitions, values, waiting tasks, bridges
started            from the start of a bridge to its first completion
plot, report       one picture of all curves; their tables in docs/performance.md
"""
