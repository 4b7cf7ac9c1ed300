"""Any set of services in one process: what they get, what they give, how they start and how they leave."""

from shared.host.opening import inert_runtime, migrate_database, open_runtime
from shared.host.process import new_app, openapi_document, serve
from shared.host.runtime import Runtime, Service

__all__ = [
    "Runtime",
    "Service",
    "inert_runtime",
    "migrate_database",
    "new_app",
    "open_runtime",
    "openapi_document",
    "serve",
]
