"""What a team knows of a customer: changed by version, audited, told, and kept through linking and unlinking."""

from typing import Any

import httpx
import pytest

from services.router.domain.people import latest
from services.router.domain.standing import key_of
from services.tickets.handlers import joining
from services.tickets.handlers.joining import Evidence
from shared.events.customers import CustomerChanged
from tests.support.floor import OTHER, Floor, agent, message, routed
from tests.support.ticket_events import account
from tests.support.tickets_app import person

BOSS = agent("agt_boss", role="lead")
CRM = Evidence(kind="crm-id", value="4711")


async def customer(floor: Floor, author: str = "c1") -> str:
    """Who wrote: the customer's id."""
    await floor.deliver(routed(message(f"m-{author}", author=author)))
    [row] = await floor.rows("SELECT customer_id FROM tickets.identity WHERE external_id = $1", author)
    return row["customer_id"]


async def amend(client: httpx.AsyncClient, customer_id: str, version: int, **body: Any) -> httpx.Response:
    path = f"/v1/customers/{customer_id}"
    return await client.patch(path, json=body, headers={"If-Match": f'"{version}"'})


async def known(client: httpx.AsyncClient, customer_id: str) -> tuple[dict[str, Any], list[str]]:
    shown = (await client.get(f"/v1/customers/{customer_id}")).json()
    return shown["attributes"], shown["tags"]


async def told(floor: Floor) -> list[CustomerChanged]:
    return [event.data for event in await floor.events() if isinstance(event.data, CustomerChanged)]


async def test_attributes_are_set_one_by_one_tags_as_a_whole_by_the_version_that_was_read(floor: Floor) -> None:
    ann, who = await floor.add_agent("ann"), await customer(floor)
    async with person(floor, ann) as client:
        first = await amend(client, who, 1, attributes={"plan": "gold", "orders": 3, "vip": True}, tags=["big"])
        assert (first.status_code, first.headers["ETag"]) == (200, '"2"')
        second = await amend(client, who, 2, attributes={"plan": None, "score": 0.5})
        assert second.json()["attributes"] == {"orders": 3, "vip": True, "score": 0.5}
        assert second.json()["tags"] == ["big"]
        stale = await amend(client, who, 2, tags=[])
        assert (stale.status_code, stale.json()["current_version"], stale.json()["changed_by"]["id"]) == (412, 3, ann)
        missing = await client.patch(f"/v1/customers/{who}", json={"tags": []})
        assert missing.status_code == 428
        again = await amend(client, who, 3, tags=["big"])
        assert (again.status_code, again.headers["ETag"]) == (200, '"3"')
        lines = (await client.get(f"/v1/customers/{who}/changes")).json()["data"]
        rest = (await client.get(f"/v1/customers/{who}/changes", params={"limit": 1})).json()
    assert [(line["version"], line["actor"]["id"], line["reason"]) for line in lines] == [
        (3, ann, "amended"),
        (2, ann, "amended"),
    ]
    assert lines[0]["data"]["attributes"]["plan"] == {"before": "gold", "after": None}
    assert (rest["data"], rest["next_cursor"] is None) == (lines[:1], False)
    last = (await told(floor))[-1]
    assert (last.customer.version, last.customer.tags, last.changes) == (3, ("big",), ("attributes",))
    assert [(one.network, one.external_id) for one in last.customer.accounts] == [("facebook", "c1")]
    assert last.actor.id == ann


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"attributes": {"a b": 1}}, "#/attributes/a b/[key]"),
        ({"attributes": {"a": ["x"]}}, "#/attributes/a"),
        ({"attributes": {"a": "x" * 201}}, "#/attributes/a"),
        ({"attributes": {"a": ""}}, "#/attributes/a"),
        ({"attributes": {f"a{n}": "x" * 200 for n in range(30)}}, "#/attributes"),
        ({"tags": ["a b"]}, "#/tags/0"),
        ({"tags": [f"t{n}" for n in range(51)]}, "#/tags"),
        ({"name": "x"}, "#/name"),
    ],
)
async def test_what_is_no_attribute_or_too_much_is_refused(floor: Floor, body: dict[str, Any], pointer: str) -> None:
    ann, who = await floor.add_agent("ann"), await customer(floor)
    async with person(floor, ann) as client:
        refused = await amend(client, who, 1, **body)
        assert refused.status_code == 422
        assert any(one["pointer"].startswith(pointer.partition("/[")[0]) for one in refused.json()["errors"])
        assert await known(client, who) == ({}, [])


async def test_what_another_system_knows_of_a_customer_is_written_by_its_integration(floor: Floor) -> None:
    who = await customer(floor)
    async with person(floor, None, role="integration") as crm:
        amended = await amend(crm, who, 1, attributes={"plan": "gold"})
        assert (amended.status_code, amended.json()["attributes"]) == (200, {"plan": "gold"})
        [change] = (await crm.get(f"/v1/customers/{who}/changes")).json()["data"]
    assert (change["actor"]["kind"], change["actor"]["name"]) == ("key", "test")


async def test_a_customer_of_another_workspace_is_nobody_and_readers_change_nothing(floor: Floor) -> None:
    ann, who = await floor.add_agent("ann"), await customer(floor)
    eve = await floor.add_agent("eve", workspace=OTHER)
    async with person(floor, eve, workspace=OTHER) as stranger, person(floor, ann, role="analyst") as reader:
        assert (await amend(stranger, who, 1, tags=["x"])).status_code == 404
        assert (await stranger.get(f"/v1/customers/{who}/changes")).status_code == 404
        assert (await amend(reader, who, 1, tags=["x"])).status_code == 403
    assert await told(floor) == []


async def test_linking_hands_on_what_is_known_and_unlinking_gives_nothing_back(floor: Floor) -> None:
    ann = await floor.add_agent("ann")
    one, other = await customer(floor, "c1"), await customer(floor, "c2")
    async with person(floor, ann) as client:
        await amend(client, one, 1, attributes={"plan": "gold"}, tags=["big"])
        await amend(client, other, 1, attributes={"plan": "free", "city": "Bonn"}, tags=["old"])
        await floor.act(lambda tx: joining.link(tx, floor.desk, BOSS, one, other=other, evidence=CRM))
        assert await known(client, one) == ({"plan": "gold", "city": "Bonn"}, ["big", "old"])
        assert await known(client, other) == ({"plan": "free", "city": "Bonn"}, ["old"])
        refused = await amend(client, other, 3, tags=[])
        assert (refused.status_code, refused.json()["into"]) == (409, one)
        linked = {event.customer.id: event.customer for event in (await told(floor))[-2:]}
        assert {len(linked[one].accounts), len(linked[other].accounts)} == {2, 0}
        assert linked[other].merged_into == one
        home = {"network": "facebook", "external_id": "c2", "scope": None}
        await floor.act(lambda tx: joining.unlink(tx, floor.desk, BOSS, one, **home))
        assert await known(client, one) == ({"plan": "gold", "city": "Bonn"}, ["big", "old"])
        assert await known(client, other) == ({"plan": "free", "city": "Bonn"}, ["old"])
        lines = (await client.get(f"/v1/customers/{other}/changes")).json()["data"]
    picture = latest(event.data for event in await floor.events())
    assert {id_: (one.accounts, one.known.tags) for id_, one in picture.items()} == {
        one: (frozenset({key_of(account("c1"))}), ("big", "old")),
        other: (frozenset({key_of(account("c2"))}), ("old",)),
    }
    parted = {event.customer.id: event.customer for event in (await told(floor))[-2:]}
    assert [[account.external_id for account in parted[id_].accounts] for id_ in (one, other)] == [["c1"], ["c2"]]
    assert parted[other].merged_into is None
    assert [line["reason"] for line in lines] == ["unlinked", "linked", "amended"]
    assert lines[0]["data"] == {"accounts": {"of": one}}


async def test_merging_tickets_joins_what_is_known_of_their_customers(floor: Floor) -> None:
    ann = await floor.add_agent("ann")
    one, other = await customer(floor, "c1"), await customer(floor, "c2")
    async with person(floor, ann) as client:
        await amend(client, one, 1, attributes={"plan": "gold"})
        rows = await floor.rows("SELECT id, customer_id, version FROM tickets.ticket")
        of = {row["customer_id"]: row for row in rows}
        await floor.act(
            lambda tx: joining.merge(
                tx, floor.desk, BOSS, of[one]["id"], into=of[other]["id"], version=of[one]["version"]
            )
        )
        assert await known(client, other) == ({"plan": "gold"}, [])


async def test_what_is_known_of_a_customer_does_not_make_his_messages_dearer(floor: Floor) -> None:
    ann, who = await floor.add_agent("ann"), await customer(floor)
    async with person(floor, ann) as client:
        await amend(client, who, 1, tags=["big"])
    [row] = await floor.rows("SELECT version, links FROM tickets.customer")
    assert (row["version"], row["links"]) == (2, 0)
    await floor.rows("UPDATE tickets.ticket SET state = 'resolved', resolved_at = now() - interval '1 year'")
    await floor.deliver(routed(message("m2", author="c1")))
    created = [event.data for event in await floor.events() if event.type == "ticket.created.v1"]
    assert [event.accounts for event in created] == [(), ()]
