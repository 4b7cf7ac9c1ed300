"""What the networks of Meta have in common: how webhooks are subscribed, signed and answered."""

from datetime import datetime
from typing import ClassVar

from shared.networks.meta import webhook
from shared.networks.port import Account, WebhookAnswer, WebhookRequest


class MetaWebhooks:
    """The half of a network that does not depend on what its webhooks tell."""

    secret_names: ClassVar[tuple[str, ...]] = (*webhook.SECRETS, "access_token")
    required_credentials: ClassVar[tuple[str, ...]] = ("app_secret", "verify_token", "access_token")

    def handshake(self, request: WebhookRequest, account: Account) -> WebhookAnswer | None:
        """Answers the challenge of a subscription."""
        return webhook.handshake(request, account)

    def verify(self, request: WebhookRequest, account: Account, *, now: datetime) -> bool:  # noqa: ARG002
        """Checks the signature; Meta signs no time, so a repeated body is caught by its digest alone."""
        return webhook.verify(request, account)

    def delivery_key(self, request: WebhookRequest) -> str:
        """Meta names no delivery and repeats the same bytes: their signature."""
        return webhook.delivery_key(request)

    def acknowledge(self) -> WebhookAnswer:
        """Any 200 within five seconds will do."""
        return webhook.acknowledge()
