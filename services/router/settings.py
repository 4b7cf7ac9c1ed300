"""Settings of the router: who classifies texts, and how long it may take."""

from typing import Annotated

from pydantic import Field, SecretStr

from shared.settings import Settings


class RouterSettings(Settings):
    """What the router reads."""

    classifier_url: str | None = Field(
        None,
        description="Where texts are classified, for rules that ask for sentiment, urgency or lanes. Unset: nowhere.",
    )
    classifier_token: SecretStr | None = Field(None, description="Bearer token for the classifier.")
    classifier_timeout_ms: Annotated[int, Field(gt=0, le=5_000)] = Field(
        300, description="How long messages wait for the classifier; without an answer they are routed all the same."
    )
    classifier_batch: int = Field(100, ge=1, le=500, description="Texts in one request to the classifier.")
    classifier_cache: int = Field(20_000, ge=1_000, description="Texts whose answers each process remembers.")
    classifier_failures: int = Field(
        3, ge=1, description="Requests in a row that may fail before the classifier is left alone for a while."
    )
    classifier_rest_ms: int = Field(
        30_000,
        ge=1_000,
        description="How long a failing classifier is left alone, and a text that it had no answer for.",
    )
