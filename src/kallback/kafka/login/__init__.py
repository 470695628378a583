"""How a process proves to Kafka who it is where a user name and a password do not: access tokens, Kerberos."""
