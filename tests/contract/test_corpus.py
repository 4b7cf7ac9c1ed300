"""Every third-party body of a network becomes what a reader of that body would say it is."""

from pathlib import Path
from typing import Final

import pytest

from shared.networks import registry
from tests.contract.corpus import facebook, instagram, telegram, whatsapp, x
from tests.contract.corpus.row import Expected, Row

CORPUS: Final = Path(__file__).parents[2].parent / "shared" / "corpus"
TABLES: Final = {
    "facebook": facebook.ROWS,
    "instagram": instagram.ROWS,
    "telegram": telegram.ROWS,
    "whatsapp": whatsapp.ROWS,
    "x": x.ROWS,
}

pytestmark = pytest.mark.skipif(
    not CORPUS.is_dir(), reason="the corpus of third-party bodies is not beside the checkout"
)


@pytest.mark.parametrize(
    ("network", "row"),
    [pytest.param(name, row, id=f"{name}-{row.file}") for name, rows in TABLES.items() for row in rows],
)
def test_a_body_becomes_what_a_reader_would_say(network: str, row: Row) -> None:
    parsed = registry.get(network).parse((CORPUS / network / row.file).read_bytes())
    found = tuple(Expected(item.verb, item.kind, item.direction, item.external_id, item.text) for item in parsed.items)
    codes = tuple(part.code for part in (*parsed.ignored, *parsed.not_understood))
    assert Row(row.file, parsed.state, found, codes) == row


@pytest.mark.parametrize("network", TABLES)
def test_every_body_has_exactly_one_row(network: str) -> None:
    bodies = sorted(path.name for path in (CORPUS / network).glob("*"))
    assert sorted(row.file for row in TABLES[network]) == bodies
    assert bodies


def test_every_network_with_bodies_has_a_table() -> None:
    assert set(TABLES) == {name for name in registry.NETWORKS if (CORPUS / name).is_dir()}
