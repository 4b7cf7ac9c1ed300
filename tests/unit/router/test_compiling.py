"""Whoever saves a large ruleset holds up nobody."""

import threading

import pytest

from services.router.handlers.compiling import LARGE, aside


@pytest.mark.parametrize(
    ("document", "is_beside"),
    [
        ({"rules": [{}] * (LARGE + 1)}, True),
        ({"rules": [{}] * LARGE}, False),
        ({"rules": "many"}, False),
        ({}, False),
        (None, False),
    ],
)
async def test_only_many_rules_go_to_a_thread(document, is_beside):
    worked = await aside(document, threading.get_ident)
    assert (worked != threading.get_ident()) is is_beside
