"""Customers that are one person, and tickets that are one: linked, unlinked, merged."""

from services.router.domain.standing import key_of, latest
from services.tickets.domain.refusals import AtHome, CustomerMerged, TicketMerged
from services.tickets.handlers import joining, states
from services.tickets.handlers import lease as leasing
from services.tickets.handlers.joining import Evidence
from shared.errors import Conflict, NotFound
from shared.events.tickets import Account
from tests.support.floor import OTHER, Floor, agent, message, routed
from tests.support.tickets_app import person

BOSS = agent("agt_boss", role="lead")


async def test_a_merge_leaves_one_ticket_with_the_whole_story(floor: Floor) -> None:
    ann = await floor.add_agent("ann")
    first, second = await _two(floor)
    await floor.deliver(routed(message("m3", author="c1"), priority="urgent", tags=("vip",)))
    first = await _row(floor, first["id"])
    left = await _merge(floor, first, second)
    assert (left.id, left.priority, left.owner) == (second["id"], "urgent", ann)
    assert "vip" in left.tags
    merged = await _row(floor, first["id"])
    assert (merged["state"], merged["merged_into"], merged["waiting_since"]) == ("merged", second["id"], None)
    homes = await floor.rows("SELECT DISTINCT ticket_id FROM tickets.message")
    assert homes == [{"ticket_id": second["id"]}]
    turns = await floor.rows(
        "SELECT t.seq, m.seq AS place FROM tickets.turn t JOIN tickets.message m ON m.id = t.message_id"
    )
    assert len(turns) == 3
    assert all(row["seq"] == row["place"] for row in turns)
    loads = await floor.rows("SELECT load FROM tickets.agent_load")
    assert loads == [{"load": 1}]
    assert "ticket.merged.v1" in await floor.told()
    await floor.check_books()


async def test_later_messages_of_both_customers_follow_the_merge(floor: Floor) -> None:
    first, second = await _two(floor)
    await _merge(floor, first, second)
    await floor.deliver(routed(message("m3", author="c1")), routed(message("m4", author="c2")))
    assert {row["ticket_id"] for row in await floor.rows("SELECT ticket_id FROM tickets.message")} == {second["id"]}
    assert await _told_accounts(floor) == {second["id"]: {"c1", "c2"}}


async def test_an_edit_of_a_message_that_was_merged_shows_in_the_ticket_that_is_left(floor: Floor) -> None:
    first, second = await _two(floor)
    await _merge(floor, first, second)
    edit = routed(message("m1", author="c1", text="new"), verb="edited", version="2")
    await floor.deliver(edit)
    await floor.deliver(edit)
    lines = await floor.rows("SELECT ticket_id FROM tickets.entry WHERE kind = 'edited'")
    assert lines == [{"ticket_id": second["id"]}]


async def test_a_merged_ticket_tells_where_to_go(floor: Floor) -> None:
    ann = await floor.add_agent("ann")
    first, second = await _two(floor)
    await _merge(floor, first, second)
    async with person(floor, ann) as client:
        shown = (await client.get(f"/v1/tickets/{first['id']}")).json()
        assert (shown["state"], shown["merged_into"]) == ("merged", second["id"])
        answer = await client.post(f"/v1/tickets/{first['id']}/resolve", headers={"If-Match": '"1"'})
        assert (answer.status_code, answer.json()["code"], answer.json()["into"]) == (
            409,
            "ticket-merged",
            second["id"],
        )
        assert (await client.post(f"/v1/tickets/{first['id']}/merge", json={"into": "x"})).status_code == 403


async def test_merging_again_is_refused_and_chains_lead_to_the_end(floor: Floor) -> None:
    first, second = await _two(floor)
    await _merge(floor, first, second)
    again = await floor.attempt(
        lambda tx: joining.merge(tx, floor.desk, BOSS, first["id"], into=second["id"], version=1)
    )
    assert isinstance(again, TicketMerged)
    await floor.deliver(routed(message("m9", author="c9")))
    [third] = await floor.rows(
        "SELECT id, version FROM tickets.ticket WHERE id NOT IN ($1, $2)", first["id"], second["id"]
    )
    left = await _merge(floor, await _row(floor, second["id"]), third)
    assert left.id == third["id"]
    back = await floor.attempt(
        lambda tx: joining.merge(tx, floor.desk, BOSS, third["id"], into=first["id"], version=left.version)
    )
    assert isinstance(back, Conflict)


async def test_a_ticket_that_nobody_owned_goes_to_the_owner_of_what_was_merged_into_it(floor: Floor) -> None:
    ann = await floor.add_agent("ann", capacity=1)
    first, second = await _two(floor)
    owned, queued = (first, second) if first["owner_id"] == ann else (second, first)
    left = await _merge(floor, owned, queued)
    assert left.owner == ann
    await floor.check_books()


async def test_linking_merges_the_open_tickets_and_keeps_the_evidence(floor: Floor) -> None:
    first, second = await _two(floor)
    linked = await _link(floor, second["customer_id"], first["customer_id"])
    assert linked.id == second["customer_id"]
    assert (await _row(floor, first["id"]))["merged_into"] == second["id"]
    [proof] = await floor.rows(
        "SELECT evidence FROM tickets.identity WHERE home_customer_id = $1", first["customer_id"]
    )
    assert (proof["evidence"]["kind"], proof["evidence"]["by"]) == ("crm-id", BOSS.id)
    again = await floor.attempt(_linking(floor, second["customer_id"], first["customer_id"]))
    assert isinstance(again, CustomerMerged)
    await floor.check_books()


async def test_linking_a_customer_without_a_ticket_moves_the_others_ticket(floor: Floor) -> None:
    first, second = await _two(floor)
    await floor.rows("UPDATE tickets.ticket SET state = 'resolved', resolved_at = now() WHERE id = $1", second["id"])
    await _link(floor, second["customer_id"], first["customer_id"])
    assert (await _row(floor, first["id"]))["customer_id"] == second["customer_id"]
    await floor.deliver(routed(message("m3", author="c1")))
    assert (await _row(floor, first["id"]))["state"] == "open"
    assert len(await floor.rows("SELECT 1 FROM tickets.message WHERE ticket_id = $1", first["id"])) == 2


async def test_unlinking_sends_the_account_home_and_its_next_message_opens_its_own_ticket(floor: Floor) -> None:
    first, second = await _two(floor)
    await _link(floor, second["customer_id"], first["customer_id"])
    await floor.act(
        lambda tx: joining.unlink(
            tx, floor.desk, BOSS, second["customer_id"], network="facebook", external_id="c1", scope=None
        )
    )
    await floor.deliver(routed(message("m3", author="c1")))
    [own] = await floor.rows("SELECT customer_id FROM tickets.ticket WHERE state = 'open' AND id <> $1", second["id"])
    assert own["customer_id"] == first["customer_id"]
    refusal = await floor.attempt(
        lambda tx: joining.unlink(
            tx, floor.desk, BOSS, second["customer_id"], network="facebook", external_id="c2", scope=None
        )
    )
    assert isinstance(refusal, AtHome)
    await floor.check_books()


async def test_the_losing_sides_lease_is_revoked_in_its_own_order_before_it_is_merged(floor: Floor) -> None:
    ann = await floor.add_agent("ann")
    first, second = await _two(floor)
    await floor.act(lambda tx: leasing.acquire(tx, floor.desk, agent(ann), first["id"], session=None))
    await _link(floor, second["customer_id"], first["customer_id"])
    told = [event.type for event in await floor.events() if event.key == first["id"]]
    assert told.index("lease.revoked.v1") < told.index("ticket.merged.v1")
    revoked = next(event for event in await floor.events() if event.type == "lease.revoked.v1")
    assert (revoked.data.reason, revoked.data.by.id) == ("linked", BOSS.id)


async def test_nobody_is_linked_across_workspaces(floor: Floor) -> None:
    await floor.deliver(routed(message("m1")), routed(message("m2", workspace=OTHER, channel="chn_other")))
    mine, theirs = await floor.ticket(), await floor.ticket(workspace=OTHER)
    refusal = await floor.attempt(_linking(floor, mine["customer_id"], theirs["customer_id"]))
    assert isinstance(refusal, NotFound)
    refusal = await floor.attempt(
        lambda tx: joining.merge(tx, floor.desk, BOSS, mine["id"], into=theirs["id"], version=mine["version"])
    )
    assert isinstance(refusal, NotFound)


async def test_customers_are_listed_read_linked_and_have_one_timeline(floor: Floor) -> None:
    first, second = await _two(floor)
    async with person(floor, None, role="lead") as lead:
        rows = (await lead.get("/v1/customers?limit=1")).json()
        assert len(rows["data"]) == 1
        body = {"customer_id": first["customer_id"], "evidence": {"kind": "verified-email", "value": "a@b.c"}}
        path = f"/v1/customers/{second['customer_id']}"
        linked = await lead.post(f"{path}/link", json=body)
        assert len(linked.json()["identities"]) == 2
        lines = (await lead.get(f"{path}/timeline")).json()["data"]
        assert sorted(line["message"]["external_id"] for line in lines) == ["m1", "m2"]
        unlinked = await lead.post(f"{path}/unlink", json={"network": "facebook", "external_id": "c1"})
        assert len(unlinked.json()["identities"]) == 1
        assert (await lead.post(f"{path}/link", json={"customer_id": "x"})).status_code == 422
        assert len((await lead.get("/v1/customers")).json()["data"]) == 2


async def test_events_tell_whose_messages_belong_to_each_open_ticket(floor: Floor) -> None:
    first, second = await _two(floor)
    one, other = first["customer_id"], second["customer_id"]
    assert await _told_accounts(floor) == {first["id"]: {"c1"}, second["id"]: {"c2"}}
    await _resolve(floor, first["id"])
    await _link(floor, other, one)
    assert await _told_accounts(floor) == {second["id"]: {"c1", "c2"}}
    await floor.act(
        lambda tx: joining.unlink(tx, floor.desk, BOSS, other, network="facebook", external_id="c1", scope=None)
    )
    assert await _told_accounts(floor) == {second["id"]: {"c2"}}
    await _resolve(floor, second["id"])
    await _link(floor, one, other)
    assert await _told_accounts(floor) == {}
    await floor.rows("UPDATE tickets.ticket SET resolved_at = now() - interval '1 year'")
    await floor.deliver(routed(message("m3", author="c2")))
    [third] = await _told_accounts(floor)
    assert await _told_accounts(floor) == {third: {"c1", "c2"}}


async def test_a_ticket_that_is_opened_again_tells_all_accounts_whoever_opens_it(floor: Floor) -> None:
    first, second = await _two(floor)
    await _link(floor, second["customer_id"], first["customer_id"])
    await _resolve(floor, second["id"])
    await floor.deliver(routed(message("m3", author="c1")))
    assert await _told_accounts(floor) == {second["id"]: {"c1", "c2"}}
    await _resolve(floor, second["id"])
    version = (await _row(floor, second["id"]))["version"]
    await floor.act(lambda tx: states.reopen(tx, floor.desk, BOSS, second["id"], version=version))
    reopened = [event.data for event in await floor.events() if event.type == "ticket.reopened.v1"]
    assert [{one.external_id for one in data.accounts} for data in reopened] == [{"c1", "c2"}] * 2


async def _told_accounts(floor: Floor) -> dict[str, set[str]]:
    """By open ticket, as the router reads it in the events; what is true otherwise is looked at as well."""
    found = latest(event.data for event in await floor.events())
    names = {key_of(Account(network="facebook", external_id=one, scope="chn_1")): one for one in ("c1", "c2")}
    told = {id_: {names[key] for key in one.accounts or ()} for id_, one in found.items() if one.is_open}
    rows = await floor.rows(
        "SELECT t.id, i.external_id FROM tickets.ticket t JOIN tickets.identity i USING (customer_id) "
        "WHERE t.state = 'open'"
    )
    true: dict[str, set[str]] = {}
    for row in rows:
        true.setdefault(row["id"], set()).add(row["external_id"])
    assert told == true
    return told


async def _resolve(floor: Floor, ticket_id: str) -> None:
    version = (await _row(floor, ticket_id))["version"]
    await floor.act(lambda tx: states.resolve(tx, floor.desk, BOSS, ticket_id, version=version))


async def _two(floor: Floor) -> list[dict]:
    await floor.deliver(routed(message("m1", author="c1")), routed(message("m2", author="c2")))
    return await floor.rows("SELECT * FROM tickets.ticket ORDER BY id")


async def _row(floor: Floor, ticket_id: str) -> dict:
    [row] = await floor.rows("SELECT * FROM tickets.ticket WHERE id = $1", ticket_id)
    return row


async def _merge(floor: Floor, source: dict, target: dict):
    return await floor.act(
        lambda tx: joining.merge(tx, floor.desk, BOSS, source["id"], into=target["id"], version=source["version"])
    )


def _linking(floor: Floor, target: str, source: str):
    evidence = Evidence(kind="crm-id", value="4711")
    return lambda tx: joining.link(tx, floor.desk, BOSS, target, other=source, evidence=evidence)


async def _link(floor: Floor, target: str, source: str):
    return await floor.act(_linking(floor, target, source))
