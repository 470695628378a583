"""What the journals of invocations say of tasks and awakeables.

reader   asks Restate for journals, and keeps them
rows     makes journals of the rows of its answers
journal  which attempts of tasks still wait (`between_attempts.py`), and which awakeables (`awakeables.py`)
"""
