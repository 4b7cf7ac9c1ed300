"""Whatever is sent, somebody says what is wrong with it; nobody gets a server error, and the system goes on."""

import os

import httpx
import pytest

from tests.support.callers import other_workspace
from tests.support.contract import Contract
from tests.support.nonsense import Nonsense
from tests.support.page import connected_page
from tests.support.possessions import possessions
from tests.support.system import System

REQUESTS = 20_000 if os.environ.get("BATON_SOAK") else 600


@pytest.mark.timeout(1800 if os.environ.get("BATON_SOAK") else 60)
async def test_no_request_is_answered_by_an_error_of_ours_or_otherwise_than_declared(
    system: System, http: httpx.AsyncClient, contract: Contract
):
    # In a workspace of its own: some of it succeeds.
    owner = await other_workspace(system, http)
    before = system.said_bytes
    async with connected_page(owner) as page:
        # Keys are left alone: one of these requests would revoke the one that asks.
        source = Nonsense(contract, await possessions(page, owner) | {"key_id": "key_nobody"}, seed=REQUESTS)
        for _ in range(REQUESTS):
            wanted = source.request()
            if wanted.url.startswith("/v1/stream"):
                continue
            headers = {**wanted.headers, "Authorization": f"Bearer {owner.key}"}
            answer = await http.request(wanted.method, wanted.url, content=wanted.content, headers=headers)
            assert answer.status_code < 500, f"{wanted}: {answer.text}"
            contract.check(answer)
    assert '"level": "error"' not in system.said(before)
