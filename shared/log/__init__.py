"""The event log: a small port, two adapters, and the consumer that stands on it."""
