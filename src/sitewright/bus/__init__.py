"""Messages between manager and nodes: subjects, message types, a NATS client and its in-memory twin."""
