"""The way of a result record: fetched, routed by its verdict, settled."""
