"""Every third-party Facebook body becomes what a reader of that body would say it is."""

from pathlib import Path
from typing import Final

import pytest

from shared.networks import registry
from tests.contract.corpus_facebook import ROWS, Expected, Row

CORPUS: Final = Path(__file__).parents[2].parent / "shared" / "corpus" / "facebook"

pytestmark = pytest.mark.skipif(
    not CORPUS.is_dir(), reason="the corpus of third-party bodies is not beside the checkout"
)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.file)
def test_a_body_becomes_what_a_reader_would_say(row: Row) -> None:
    parsed = registry.get("facebook").parse((CORPUS / row.file).read_bytes())
    found = tuple(Expected(item.verb, item.kind, item.direction, item.external_id, item.text) for item in parsed.items)
    codes = tuple(part.code for part in (*parsed.ignored, *parsed.not_understood))
    assert Row(row.file, parsed.state, found, codes) == row


def test_every_body_has_exactly_one_row() -> None:
    assert sorted(row.file for row in ROWS) == sorted(path.name for path in CORPUS.glob("*"))
