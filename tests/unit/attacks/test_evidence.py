"""An attack that does not reach its aim has failed."""

from __future__ import annotations

from attacks.evidence import Counters, Evidence, judged_results, missing
from attacks.table import ATTACKS

BEFORE: Counters = {("bridge_dead_letters", frozenset({"unverified"})): 3.0}
AFTER: Counters = {
    ("bridge_dead_letters", frozenset({"unverified"})): 8.0,
    ("bridge_summarized_records", frozenset({"no-token"})): 40.0,
    ("worker_dead_letters", frozenset({"unverified"})): 90.0,
}


def test_the_rises_of_the_counters_are_added_up() -> None:
    """Of these metrics only, and since the attack began."""
    assert missing([judged_results(45)], BEFORE, AFTER) == []
    (said,) = missing([judged_results(46)], BEFORE, AFTER)
    assert said.startswith(
        "the attack missed its aim: bridge_dead_letters + bridge_summarized_records of all rose by 45"
    )


def test_only_samples_with_one_of_the_values_count() -> None:
    """A dead letter of another reason shows nothing."""
    assert missing([judged_results(5, "unverified")], BEFORE, AFTER) == []
    assert len(missing([judged_results(6, "unverified")], BEFORE, AFTER)) == 1


def test_a_program_that_does_not_answer_shows_nothing() -> None:
    """It was killed, perhaps."""
    assert len(missing([Evidence(("worker_records",), frozenset(), 1)], BEFORE, {})) == 1


def test_attacks_that_write_records_have_evidence() -> None:
    """Those without are listed: they find out themselves whether they reach their aim."""
    finding = {
        *("nothing", "forged-dead-letters", "many-dead-letters", "odd-dead-letters", "odd-outcomes"),
        *("open-transaction", "aborted-transactions", "odd-requests", "slow-clients", "weak-keys"),
    }
    assert {attack.name for attack in ATTACKS if not attack.evidence} == finding
