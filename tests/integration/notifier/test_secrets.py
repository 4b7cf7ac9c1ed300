"""Secrets of endpoints: sealed, shown once, and replaced without a rejected push."""

import asyncio

import pytest
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from tests.support.pushing import pushing
from tests.support.receiving import receiving
from tests.support.waiting import eventually


@pytest.fixture
async def push(database):
    async with pushing(database) as made:
        yield made


async def test_while_a_secret_is_rotated_nothing_is_rejected(push):
    rejected = []
    async with receiving() as receiver:
        endpoint = await push.endpoint(receiver)
        accepted = Webhook(endpoint["secret"])

        async def check(arrived):
            try:
                accepted.verify(arrived.raw, arrived.headers)
            except WebhookVerificationError as error:
                rejected.append(error)
                return 401, {}, "no"
            return 200, {}, ""

        receiver.answer = check
        for round_ in range(20):
            await push.happen(5)
            if round_ == 8:
                rotated = await push.post(f"{endpoint['id']}/rotate")
                await push.deliverer._refresh(push.group)
            if round_ == 14:
                accepted = Webhook(rotated["secret"])
        await push.rows(100)
        assert rejected == []
        assert rotated["secret"] != endpoint["secret"]
        last = receiver.pushes[-1]
        assert len(last.headers["webhook-signature"].split(" ")) == 2


async def test_after_the_overlap_only_the_new_secret_signs(database):
    async with pushing(database, secret_overlap_ms=1) as push, receiving() as receiver:
        endpoint = await push.endpoint(receiver)
        rotated = await push.post(f"{endpoint['id']}/rotate")
        await asyncio.sleep(0.2)
        await push.happen()
        await eventually(lambda: len(receiver.pushes) == 1)
        [arrived] = receiver.pushes
        assert len(arrived.headers["webhook-signature"].split(" ")) == 1
        Webhook(rotated["secret"]).verify(arrived.raw, arrived.headers)


async def test_secrets_are_sealed_at_rest_and_shown_once(push):
    async with receiving() as receiver:
        endpoint = await push.endpoint(receiver)
        assert endpoint["secret"].startswith("whsec_")
        assert "secret" not in await push.state(endpoint)
        [row] = await push.here.rows("SELECT secret FROM notifier.endpoint")
        assert endpoint["secret"].encode() not in row["secret"]
