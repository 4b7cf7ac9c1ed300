"""A Postgres of our own for machines that have none: `server` supervises it, `binaries` finds it, `process` runs it."""

from shared.db.embedded.server import EmbeddedPostgres

__all__ = ["EmbeddedPostgres"]
