"""Settings of the HTTP face."""

from pydantic import Field

from shared.settings import Settings


class WebSettings(Settings):
    """Limits of the API, and what it shows without a key."""

    api_rate: float = Field(
        200.0, gt=0, description="API requests per second that one key may make in the long run, to each process."
    )
    api_burst: int = Field(
        1000, ge=1, description="API requests that one key may make to a process at once after a pause."
    )
    metrics_public: bool = Field(
        default=False,
        description="Serves `/metrics` to any address. Else only loopback may scrape it; "
        "set it where a network policy guards the port.",
    )
