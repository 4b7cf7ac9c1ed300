"""Webhook intake as tutorials show it: a pydantic body, the signature as a dependency, a returned dict."""

from collections.abc import Callable
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Header, HTTPException, Request
from pydantic import BaseModel


class Person(BaseModel):
    id: str


class Message(BaseModel):
    mid: str
    text: str | None = None
    attachments: list[dict[str, Any]] | None = None


class Messaging(BaseModel):
    sender: Person
    recipient: Person
    timestamp: int
    message: Message | None = None


class Entry(BaseModel):
    id: str
    time: int
    messaging: list[Messaging]


class Delivery(BaseModel):
    object: str
    entry: list[Entry]


def app(is_authentic: Callable[[str, bytes], bool]) -> FastAPI:
    """The whole application."""
    api = FastAPI()

    async def signed(request: Request, x_hub_signature_256: Annotated[str, Header()]) -> None:
        if not is_authentic(x_hub_signature_256, await request.body()):
            raise HTTPException(401)

    @api.post("/webhooks/facebook/{channel_id}", dependencies=[Depends(signed)])
    async def receive(channel_id: str, delivery: Delivery) -> dict[str, Any]:
        return {"status": "received", "channel": channel_id, "entries": len(delivery.entry)}

    return api
