"""Every network that Baton speaks, by name."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from shared.errors import NotFound
from shared.networks.api import Api
from shared.networks.facebook import Facebook
from shared.networks.instagram import Instagram
from shared.networks.port import Capabilities, Network
from shared.networks.telegram import Telegram
from shared.networks.whatsapp import WhatsApp
from shared.networks.x import X

_ALL: Final[tuple[Network, ...]] = (Facebook(), Instagram(), X(), Telegram(), WhatsApp(), Api())

NETWORKS: Final[Mapping[str, Network]] = MappingProxyType({network.name: network for network in _ALL})


def get(name: str) -> Network:
    """The network of this name; NotFound, naming those that exist, where there is none."""
    try:
        return NETWORKS[name]
    except KeyError:
        raise NotFound(f"no network is called {name[:40]!r}", known=sorted(NETWORKS)) from None


def capabilities(name: str) -> Capabilities:
    """What the network of this name can do."""
    return get(name).capabilities
