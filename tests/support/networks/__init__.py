"""One sample of every network: a network without one fails the contract suite."""

from typing import Final

from tests.support.networks import api, facebook, instagram, telegram, whatsapp, x
from tests.support.networks.sample import Sample

SAMPLES: Final[tuple[Sample, ...]] = (
    facebook.facebook(),
    instagram.instagram(),
    x.x(),
    telegram.telegram(),
    whatsapp.whatsapp(),
    api.api(),
)
