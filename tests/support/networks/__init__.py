"""One sample of every network: a network without one fails the contract suite."""

from typing import Final

from tests.support.networks import api, facebook
from tests.support.networks.sample import Sample

SAMPLES: Final[tuple[Sample, ...]] = (facebook.facebook(), api.api())
