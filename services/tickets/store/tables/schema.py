"""The schema that all tables of the service belong to."""

from typing import Final

from shared.db.tables import add_kernel_tables, add_plan_table, schema_metadata

METADATA: Final = schema_metadata("tickets")
add_kernel_tables(METADATA)
add_plan_table(METADATA)
