"""Everything at once, and nothing lost: a seeded run of tasks while processes and servers die.

    python -m chaos --seed 7 --seconds 30 --tasks-per-second 20

`plan.py` and `checks.py` are pure; `stage.py` owns processes, `faults.py` breaks them, `load.py` places tasks,
`injector.py` puts bad records between the good ones, `evidence.py` gathers what became of everything.
"""
