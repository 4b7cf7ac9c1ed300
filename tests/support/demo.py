"""A service schema with nothing but the kernel's tables and one of its own, for tests of the kernel."""

from pathlib import Path
from typing import Final

import sqlalchemy as sa

from shared.db.migrate import Schema
from shared.db.tables import add_kernel_tables, column, schema_metadata

METADATA: Final = schema_metadata("demo")
sa.Table(
    "seen",
    METADATA,
    column("id", sa.BigInteger, sa.Identity(), primary_key=True),
    column("workspace_id", sa.Text),
    column("key", sa.Text),
    column("name", sa.Text),
)
add_kernel_tables(METADATA)

SCHEMA: Final = Schema(name="demo", metadata=METADATA, folder=Path(__file__).parent / "demo_migrations")
