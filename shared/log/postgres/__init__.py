"""The Postgres adapter of the event log."""

from shared.log.postgres.log import PostgresLog
from shared.log.postgres.pace import Pace

__all__ = ["Pace", "PostgresLog"]
