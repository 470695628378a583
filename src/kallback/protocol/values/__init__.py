"""Values of the types that users declare: to JSON bytes and back, and what cannot travel is refused."""
