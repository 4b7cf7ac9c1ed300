"""A simulated WhatsApp number on the Cloud API: messages in and out, and statuses that tell what became of them."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

from services.cli.demo.networks.meta import Meta
from services.cli.demo.networks.simulated import Opening, Operated, Received


@dataclass(kw_only=True)
class WhatsApp(Meta):
    """One phone number."""

    network: ClassVar[str] = "whatsapp"
    product: ClassVar[str] = "whatsapp_business_account"
    account: str = "106540352242922"

    def openings(self) -> Iterator[Opening]:
        """A message, with the customer's card."""
        phone, item, text = f"1555{self.number() % 10**7:07}", f"wamid.{self.number()}", "¿A qué hora abre la tienda?"
        card = {"profile": {"name": "Carmen"}, "wa_id": phone}
        said = {"from": phone, "id": item, "timestamp": str(int(time.time())), "type": "text", "text": {"body": text}}
        payload = self.value(contacts=[card], messages=[said])
        yield Opening(what="a message", customer="Carmen", text=text, item=item, target=phone, payload=payload)

    def value(self, **content: Any) -> dict[str, Any]:
        """The webhook of a change of the number."""
        metadata = {"display_phone_number": "15550783881", "phone_number_id": self.account}
        value = {"messaging_product": "whatsapp", "metadata": metadata, **content}
        return self.body(changes=[{"field": "messages", "value": value}])

    def take(self, path: str, payload: Any) -> tuple[Received, dict[str, Any]]:
        """`/{number}/messages`."""
        del path
        taken = Received(
            target=payload.get("to") or payload["recipient"],
            text=payload["text"]["body"],
            external_id=f"wamid.{self.number()}",
            metadata=payload.get("biz_opaque_callback_data"),
        )
        contact = {"input": taken.target, "wa_id": taken.target}
        messages = [{"id": taken.external_id, "message_status": "accepted"}]
        return taken, {"messaging_product": "whatsapp", "contacts": [contact], "messages": messages}

    def operates(self, method: str, path: str, payload: Any) -> tuple[Operated, dict[str, Any]] | None:
        """A message that reacts."""
        del method, path
        if payload.get("type") != "reaction":
            return None
        done = Operated(operation="like", item=payload["reaction"]["message_id"])
        return done, {"messaging_product": "whatsapp", "messages": [{"id": f"wamid.{self.number()}"}]}

    def shows(self, taken: Received) -> Iterator[Any]:
        """No message, but that it was sent, and then that it arrived."""
        for state in ("sent", "delivered"):
            status = {
                "id": taken.external_id,
                "status": state,
                "timestamp": str(int(time.time())),
                "recipient_id": taken.target,
                "biz_opaque_callback_data": taken.metadata,
            }
            yield self.value(statuses=[status])
