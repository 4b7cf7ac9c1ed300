"""Whose a message is, as far as its network tells: the account that everything about one person is found by."""

from shared.events.messages import Message
from shared.events.tickets import Account
from shared.networks.registry import NETWORKS


def account_of(message: Message) -> Account:
    """The account that a customer's message comes from."""
    scope = NETWORKS[message.network].capabilities.identity_scope if message.network in NETWORKS else "channel"
    return Account(
        network=message.network,
        scope="" if scope == "network" else message.channel_id,
        # Where a network does not say who wrote, a conversation is one person.
        external_id=message.author.external_id if message.author else f"conversation:{message.conversation_id}",
    )
