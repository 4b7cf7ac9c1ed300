"""The tables of the `tickets` schema."""

from pathlib import Path
from typing import Final

from services.tickets.store.tables import answers, conversations, work
from services.tickets.store.tables.schema import METADATA
from shared.db.migrate import Schema

__all__ = ["SCHEMA", "answers", "conversations", "work"]

SCHEMA: Final = Schema(name="tickets", metadata=METADATA, folder=Path(__file__).parents[2] / "migrations")
