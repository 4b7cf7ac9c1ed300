"""Postgres: the pool, the one transaction object, the kernel's tables, roles and migrations, the embedded server."""
