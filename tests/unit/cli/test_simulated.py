"""The demo's networks speak as the real ones: the real adapters take their webhooks, and read their answers and echoes."""

import itertools
import json
from dataclasses import replace
from typing import Any, Final, get_args
from urllib.parse import urlsplit

import pytest

from services.cli.demo.networks.facebook import Facebook
from services.cli.demo.networks.simulated import Opening, Simulated
from services.cli.demo.tour import accounts
from shared.clock import SystemClock
from shared.events.messages import Kind, Operation
from shared.networks import registry
from shared.networks.port import (
    Account,
    HttpResponse,
    Item,
    OutboundModeration,
    OutboundReply,
    Sent,
    WebhookRequest,
)

VERBS: Final = {"hide": "hidden", "unhide": "unhidden", "delete": "deleted"}
ITEMS: Final = {
    "facebook": ("900_1",),
    "instagram": ("17900000000000001",),
    "x": ("77000001",),
    "telegram": ("-1001:9001",),
    "whatsapp": ("wamid.1",),
    "api": ("9001",),
}
"""What items are called there."""

EVERY = pytest.mark.parametrize("simulated", accounts(), ids=lambda simulated: simulated.network)


def account_of(simulated: Simulated) -> Account:
    return Account(
        channel_id="chn_1",
        external_id=simulated.account,
        credentials=simulated.credentials,
        api_base_url="http://127.0.0.1:9",
    )


def read(simulated: Simulated, opening: Opening) -> Item:
    [item] = registry.get(simulated.network).parse(simulated.encode(opening.payload)).items
    return item


def test_there_is_one_of_every_network():
    assert sorted(simulated.network for simulated in accounts()) == sorted(registry.NETWORKS)


@EVERY
def test_its_webhooks_are_signed_as_the_adapter_verifies(simulated: Simulated):
    network, now = registry.get(simulated.network), SystemClock().now()
    for opening in simulated.openings():
        body = simulated.encode(opening.payload)
        headers = {name.lower(): value for name, value in simulated.sign(body).items()}
        request = WebhookRequest(method="POST", headers=headers, body=body)
        account = account_of(simulated)
        stranger = replace(account, credentials=dict.fromkeys(account.credentials, "whsec_c3RyYW5nZXI="))
        assert network.verify(request, account, now=now)
        assert not network.verify(request, stranger, now=now)


@EVERY
def test_a_customers_first_words_are_one_message(simulated: Simulated):
    for opening in simulated.openings():
        item = read(simulated, opening)
        assert (item.external_id, item.direction, item.verb) == (opening.item, "in", "received")
        assert (item.text or "").removeprefix("@acme ") == opening.text.removeprefix("@acme ")


@EVERY
def test_an_answer_is_taken_and_shown_as_the_adapter_reads_it(simulated: Simulated):
    network = registry.get(simulated.network)
    for opening in simulated.openings():
        item = read(simulated, opening)
        assert item.author is not None
        reply = OutboundReply(
            text="On its way",
            kind="private" if item.kind == "dm" else "public",
            message_kind=item.kind,
            in_reply_to_external_id=item.external_id,
            correlation_id="rpl_1",
            recipient_external_id=item.author.external_id,
            thread=item.thread,
            attempted_at=SystemClock().now(),
        )
        asked = network.reply(account_of(simulated), reply)
        status, answer = simulated.answer(asked.method, urlsplit(asked.url).path, asked.body)
        taken = simulated.received[-1]
        assert (taken.target, taken.text) == (opening.target, "On its way")
        assert network.interpret(HttpResponse(status=status, body=json.dumps(answer).encode())) == Sent(
            external_id=taken.external_id
        )
        shown = [one for payload in simulated.shows(taken) for one in network.parse(simulated.encode(payload)).items]
        assert {one.external_id for one in shown} == ({taken.external_id} if network.capabilities.echo else set())
        assert {one.direction for one in shown} <= {"out"}
        if network.capabilities.correlation and not taken.is_public:
            assert {one.correlation_id for one in shown} == {"rpl_1"}


@EVERY
@pytest.mark.parametrize("operation", get_args(Operation))
def test_what_is_done_to_an_item_is_taken_and_told_as_the_adapter_reads_it(simulated: Simulated, operation: Operation):
    network = registry.get(simulated.network)
    kinds = [kind for kind in get_args(Kind) if network.capabilities.moderates(operation, kind)]
    for item, kind in itertools.product(ITEMS[simulated.network], kinds):
        order = OutboundModeration(
            id="mod_1",
            operation=operation,
            message_kind=kind,
            external_id=item,
            author_external_id="15550002002",
            attempted_at=SystemClock().now(),
        )
        asked = network.moderate(account_of(simulated), order)
        url = urlsplit(asked.url)
        status, answer = simulated.answer(
            asked.method, f"{url.path}?{url.query}" if url.query else url.path, asked.body
        )
        done = simulated.operated[-1]
        assert (done.operation, done.item) == (operation, item)
        response = HttpResponse(status=status, body=json.dumps(answer).encode())
        assert isinstance(network.interpret_moderation(response, order), Sent)
        told = [one for payload in simulated.tells(done) for one in network.parse(simulated.encode(payload)).items]
        assert {(one.external_id, one.verb) for one in told} <= {(item, VERBS.get(operation))}


@pytest.mark.parametrize("said", [[], [{"type": "http.request", "body": b'{"mess', "more_body": True}]])
async def test_half_a_request_is_not_taken(said: list[dict[str, Any]]) -> None:
    page = Facebook()
    events = iter([*said, {"type": "http.disconnect"}])
    answered: list[Any] = []

    async def receive() -> dict[str, Any]:
        return next(events)

    async def send(event: Any) -> None:
        answered.append(event)

    scope = {"type": "http", "method": "POST", "path": "/1_2/comments", "query_string": b""}
    await page(scope, receive, send)
    assert (page.received, answered) == ([], [])
