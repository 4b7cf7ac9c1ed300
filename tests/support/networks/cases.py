"""The samples of all networks as cases of one test, and what some networks do differently."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import pytest
from hypothesis import HealthCheck, settings

from shared.networks import registry
from shared.networks.port import Network
from tests.support.networks import SAMPLES
from tests.support.networks.sample import Sample

ONE_BY_ONE: Final = {"telegram"}
"""Networks that put one part into a body: what holds of batches holds of none of theirs."""

UNSIGNED: Final = {"telegram"}
"""Networks that vouch for the caller and not for the body: whoever has read the secret once can write anything."""

TOKEN_IN_PATH: Final = {"telegram"}
"""Networks that take a credential in the URL only."""

every_network = pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample.network)
every_batch = pytest.mark.parametrize(
    "sample", [s for s in SAMPLES if s.network not in ONE_BY_ONE], ids=lambda sample: sample.network
)
fuzz: Final = settings(max_examples=120, database=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def network_of(sample: Sample) -> Network:
    """The network that a sample is of."""
    return registry.get(sample.network)


def cases(table: str) -> list[Any]:
    """Each sample with each row of its own table of this name."""
    return of_each({sample.network: getattr(sample, table) for sample in SAMPLES})


def of_each(table: Mapping[str, Sequence[Any]]) -> list[Any]:
    """Each sample with each row that a table has for its network."""
    return [
        pytest.param(sample, *case, id=f"{sample.network}-{number}")
        for sample in SAMPLES
        for number, case in enumerate(table[sample.network])
    ]
