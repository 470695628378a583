from kallback.protocol import values_of


def test_values_come_in_order_and_once_each() -> None:
    """Equal duplicates of a header are one value; different ones keep their order."""
    headers = [("a", b"2"), ("b", b"x"), ("a", b"1"), ("a", b"2")]
    assert values_of(headers, "a") == [b"2", b"1"]


def test_null_values_do_not_count() -> None:
    """A header with null says nothing; an empty one says the empty text."""
    assert values_of([("a", None), ("a", b"")], "a") == [b""]


def test_names_are_compared_exactly() -> None:
    """Kafka's header names are case-sensitive."""
    assert values_of([("A", b"1"), (" a", b"1"), ("a\n", b"1")], "a") == []
