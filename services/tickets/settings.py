"""Settings of tickets: how much is applied at once, and what keys look like."""

from typing import Annotated

from pydantic import Field

from shared.settings import Settings


class TicketsSettings(Settings):
    """What tickets reads."""

    tickets_batch: int = Field(500, ge=1, le=5_000, description="Routed messages that are applied in one transaction.")
    tickets_members: int = Field(
        1,
        ge=1,
        le=16,
        description="Members of the group `tickets` in one process: more than one where a database with cores to spare "
        "is what one waits for.",
    )
    key_environment: Annotated[str, Field(pattern=r"^[a-z0-9]{1,16}$")] = Field(
        "live", description="What API keys say in their second part, so that a leaked one shows where it is valid."
    )
