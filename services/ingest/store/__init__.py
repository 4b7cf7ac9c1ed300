"""The `ingest` schema as functions that take a transaction first and give values; one module per noun."""
