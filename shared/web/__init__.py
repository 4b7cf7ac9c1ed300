"""The HTTP face: one door for authentication, limits, problems, idempotency and pages, in front of every service."""
