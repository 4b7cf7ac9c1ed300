"""What agents do over HTTP, and what they are told when they may not."""

from datetime import timedelta

from tests.support.floor import OTHER, Floor, message, routed
from tests.support.tickets_app import person


async def test_a_ticket_is_listed_read_claimed_and_resolved(floor: Floor) -> None:
    await floor.deliver(routed(message(text="Where is my parcel?")))
    ann = await floor.add_agent("ann")
    async with person(floor, ann) as client:
        [row] = (await client.get("/v1/tickets")).json()["data"]
        assert {"id", "state", "team", "owner", "priority", "customer", "last_seq", "version", "tags"} <= row.keys()
        assert (row["state"], row["team"], row["owner"], row["lease"], row["presence"]) == (
            "open",
            "care",
            None,
            None,
            [],
        )
        path = f"/v1/tickets/{row['id']}"
        shown = await client.get(path)
        assert shown.headers["ETag"] == f'"{row["version"]}"'
        assert shown.json()["conversations"][0]["latest_message_id"].startswith("msg_")
        claimed = await client.post(f"{path}/claim", headers={"If-Match": shown.headers["ETag"]})
        assert (claimed.status_code, claimed.json()["owner"]) == (200, ann)
        resolved = await client.post(f"{path}/resolve", headers={"If-Match": claimed.headers["ETag"]})
        assert (resolved.status_code, resolved.json()["state"]) == (200, "resolved")
        assert (await client.get("/v1/tickets")).json()["data"] == []
        assert len((await client.get("/v1/tickets?state=any")).json()["data"]) == 1
    await floor.check_books()


async def test_writes_want_the_version_and_say_who_changed_what(floor: Floor) -> None:
    await floor.deliver(routed(message()))
    ann, bea = await floor.add_agent("ann"), await floor.add_agent("bea")
    ticket = await floor.ticket()
    path = f"/v1/tickets/{ticket['id']}"
    async with person(floor, ann) as one, person(floor, bea) as other:
        assert (await one.post(f"{path}/claim")).status_code == 428
        tag = {"If-Match": f'"{ticket["version"]}"'}
        assert (await one.post(f"{path}/claim", headers=tag)).status_code == 200
        late = await other.post(f"{path}/claim", headers=tag)
        assert late.status_code == 412
        assert (late.json()["changed_by"]["id"], late.json()["change"]) == (ann, "assigned")
        taken = await other.post(f"{path}/claim", headers={"If-Match": late.headers["ETag"]})
        assert (taken.status_code, taken.json()["code"], taken.json()["owner"]) == (409, "already-owned", ann)
        foreign = await other.post(f"{path}/release", headers={"If-Match": late.headers["ETag"]})
        assert (foreign.status_code, foreign.json()["code"]) == (403, "not-yours")


async def test_a_claim_is_answered_once_per_idempotency_key(floor: Floor) -> None:
    await floor.deliver(routed(message()))
    ann = await floor.add_agent("ann")
    ticket = await floor.ticket()
    headers = {"If-Match": f'"{ticket["version"]}"', "Idempotency-Key": "k1"}
    async with person(floor, ann) as client:
        first = await client.post(f"/v1/tickets/{ticket['id']}/claim", headers=headers)
        again = await client.post(f"/v1/tickets/{ticket['id']}/claim", headers=headers)
    assert (first.status_code, first.content) == (again.status_code, again.content)
    assert again.headers["Idempotent-Replayed"] == "true"


async def test_nobody_sees_another_workspace(floor: Floor) -> None:
    await floor.deliver(routed(message("m1")), routed(message("m2", workspace=OTHER, channel="chn_other")))
    zoe = await floor.add_agent("zoe", workspace=OTHER)
    mine = await floor.ticket()
    async with person(floor, zoe, workspace=OTHER, role="admin") as client:
        for path in ("", "/timeline", "/assignments"):
            assert (await client.get(f"/v1/tickets/{mine['id']}{path}")).status_code == 404
        tag = {"If-Match": '"1"'}
        for action in ("claim", "release", "resolve", "reopen", "accept"):
            answer = await client.post(f"/v1/tickets/{mine['id']}/{action}", headers=tag)
            assert answer.status_code == 404, action
        assert (await client.get(f"/v1/customers/{mine['customer_id']}")).status_code == 404
        [row] = (await client.get("/v1/tickets?state=any&q=hello")).json()["data"]
        assert row["id"] != mine["id"]
        assert (await client.get("/v1/tickets", params={"customer": mine["customer_id"]})).json()["data"] == []


async def test_a_key_of_some_teams_sees_their_tickets_and_its_own(floor: Floor) -> None:
    ann = await floor.add_agent("ann", team="product")
    await floor.deliver(
        routed(message("m1", author="c1"), team="care"),
        routed(message("m2", author="c2"), team="product"),
        routed(message("m3", author="c3"), team="community"),
    )
    async with person(floor, ann, only=["care"]) as client:
        rows = (await client.get("/v1/tickets")).json()["data"]
        assert sorted(row["team"] for row in rows) == ["care", "product"]
        [hidden] = await floor.rows("SELECT id FROM tickets.ticket WHERE team_id = 'community'")
        assert (await client.get(f"/v1/tickets/{hidden['id']}")).status_code == 404
        assert (await client.post("/v1/teams/community/next")).status_code == 404


async def test_lists_filter_by_everything_and_pages_follow_each_other(floor: Floor) -> None:
    ann = await floor.add_agent("ann", team="product")
    events = []
    for number in range(12):
        fields = {"priority": ("low", "urgent")[number % 2], "tags": ("even",) if number % 2 == 0 else ()}
        events.append(routed(message(f"m{number}", author=f"c{number}", text=f"parcel {number:02}"), **fields))
    await floor.deliver(*events, routed(message("p1", author="p"), team="product", tags=("even", "vip")))
    async with person(floor, ann) as client:

        async def ids(**query: object) -> list[str]:
            found, cursor = [], None
            while True:
                page = (
                    await client.get("/v1/tickets", params={**query, **({"cursor": cursor} if cursor else {})})
                ).json()
                found += [row["id"] for row in page["data"]]
                cursor = page["next_cursor"]
                if cursor is None:
                    return found

        everything = await ids()
        assert len(everything) == 13
        assert await ids(limit=4) == everything
        assert len(await ids(priority="urgent")) == 6
        assert len(await ids(tag="even")) == 7
        assert await ids(tag="even", limit=2) == await ids(tag="even")
        assert len(await ids(tag=["even", "vip"])) == 1
        assert len(await ids(network="facebook", tag="even", priority="low")) == 6
        assert await ids(network="threads") == []
        assert len(await ids(owner="me")) == len(await ids(team="product")) == 1
        assert len(await ids(owner="none")) == 12
        assert len(await ids(q="parcel 0")) == 10
        assert len(await ids(q="PARCEL 07")) == 1
        assert await ids(q="50%") == []
        assert len(await ids(q="Customer c3")) == 1
        newest = await ids(sort="updated", limit=3)
        assert sorted(newest) == sorted(everything)
        assert await ids(state="resolved") == []
        urgent_first = [row["priority"] for row in (await client.get("/v1/tickets")).json()["data"]]
        assert urgent_first == sorted(urgent_first, key=["urgent", "high", "normal", "low"].index)


async def test_a_cursor_of_another_order_is_refused(floor: Floor) -> None:
    ann = await floor.add_agent("ann")
    await floor.deliver(*[routed(message(f"m{n}", author=f"c{n}")) for n in range(3)])
    async with person(floor, ann) as client:
        cursor = (await client.get("/v1/tickets?limit=1")).json()["next_cursor"]
        answer = await client.get("/v1/tickets", params={"cursor": cursor, "sort": "updated"})
        assert (answer.status_code, answer.json()["code"]) == (400, "bad-cursor")


async def test_the_timeline_shows_what_was_said_as_it_is_now(floor: Floor) -> None:
    await floor.deliver(routed(message("m1", text="worng")))
    await floor.deliver(routed(message("m1", text="right"), verb="edited", version="2"))
    ann = await floor.add_agent("ann")
    ticket = await floor.ticket()
    async with person(floor, ann) as client:
        path = f"/v1/tickets/{ticket['id']}"
        note = await client.post(f"{path}/notes", json={"text": "ask logistics"})
        assert (note.status_code, note.json()["author"]["id"]) == (201, ann)
        lines = (await client.get(f"{path}/timeline")).json()["data"]
        assert [line["kind"] for line in lines] == ["message", "queued", "edited", "note"]
        assert lines[0]["message"]["text"] == "right"
        assert lines[3]["note"]["text"] == "ask logistics"
        back = (await client.get(f"{path}/timeline?order=desc&limit=1")).json()
        assert back["data"][0]["seq"] == 4
        more = await client.get(
            f"{path}/timeline", params={"order": "desc", "limit": 10, "cursor": back["next_cursor"]}
        )
        assert [line["seq"] for line in more.json()["data"]] == [3, 2, 1]
    assert "note.added.v1" in await floor.told()


async def test_tags_priority_and_state_change_what_lists_find(floor: Floor) -> None:
    await floor.deliver(routed(message(), tags=("old",)))
    ann = await floor.add_agent("ann")
    ticket = await floor.ticket()
    path = f"/v1/tickets/{ticket['id']}"
    async with person(floor, ann) as client:
        tagged = await client.post(
            f"{path}/tags", json={"add": ["new"], "remove": ["old"]}, headers={"If-Match": f'"{ticket["version"]}"'}
        )
        assert tagged.json()["tags"] == ["new"]
        raised = await client.patch(path, json={"priority": "urgent"}, headers={"If-Match": tagged.headers["ETag"]})
        assert raised.json()["priority"] == "urgent"
        assert len((await client.get("/v1/tickets?tag=new&priority=urgent")).json()["data"]) == 1
        assert (await client.get("/v1/tickets?tag=old")).json()["data"] == []
        pending = await client.patch(path, json={"state": "pending"}, headers={"If-Match": raised.headers["ETag"]})
        assert len((await client.get("/v1/tickets?state=pending")).json()["data"]) == 1
        until = (floor.database.clock.now() + timedelta(hours=1)).isoformat()
        snoozed = await client.post(
            f"{path}/snooze", json={"until": until}, headers={"If-Match": pending.headers["ETag"]}
        )
        assert snoozed.json()["state"] == "snoozed"
        past = await client.post(
            f"{path}/snooze", json={"until": "2020-01-01T00:00:00Z"}, headers={"If-Match": snoozed.headers["ETag"]}
        )
        assert past.status_code == 422


async def test_one_action_on_many_tickets_has_a_result_for_each(floor: Floor) -> None:
    ann = await floor.add_agent("ann", team=None)
    await floor.deliver(*[routed(message(f"m{n}", author=f"c{n}")) for n in range(3)])
    rows = await floor.rows("SELECT id, version FROM tickets.ticket ORDER BY id")
    items = [{"id": row["id"], "version": row["version"]} for row in rows]
    items[1]["version"] = 99
    items.append({"id": "tkt_none", "version": 1})
    async with person(floor, ann) as client:
        answer = await client.post("/v1/tickets/bulk", json={"action": "claim", "items": items})
        assert [result["status"] for result in answer.json()["results"]] == [200, 412, 200, 404]
        bad = await client.post("/v1/tickets/bulk", json={"action": "resolve", "items": items, "team": "care"})
        assert bad.status_code == 422
    owned = await floor.rows("SELECT 1 FROM tickets.ticket WHERE owner_id = $1", ann)
    assert len(owned) == 2
    await floor.check_books()


async def test_an_agent_at_capacity_may_not_claim_unless_a_supervisor_overrides(floor: Floor) -> None:
    ann = await floor.add_agent("ann", team=None, capacity=1)
    await floor.deliver(routed(message("m1")), routed(message("m2", author="c2")))
    first, second = await floor.rows("SELECT id, version FROM tickets.ticket ORDER BY id")
    async with person(floor, ann) as client, person(floor, ann, role="lead") as lead:
        tag = {"If-Match": f'"{first["version"]}"'}
        assert (await client.post(f"/v1/tickets/{first['id']}/claim", headers=tag)).status_code == 200
        tag = {"If-Match": f'"{second["version"]}"'}
        full = await client.post(f"/v1/tickets/{second['id']}/claim", headers=tag)
        assert (full.status_code, full.json()["code"]) == (409, "at-capacity")
        cheeky = await client.post(f"/v1/tickets/{second['id']}/claim", headers=tag, json={"override": True})
        assert cheeky.status_code == 403
        forced = await lead.post(f"/v1/tickets/{second['id']}/claim", headers=tag, json={"override": True})
        assert forced.status_code == 200
    await floor.check_books()


async def test_staff_are_managed_and_whoever_becomes_available_takes_from_the_queue(floor: Floor) -> None:
    await floor.deliver(*[routed(message(f"m{n}", author=f"c{n}")) for n in range(3)])
    async with person(floor, None, role="admin") as admin:
        hired = await admin.post("/v1/agents", json={"name": "Ann", "teams": ["care"], "capacity": 2})
        assert (hired.status_code, hired.json()["load"], hired.json()["teams"]) == (201, 2, ["care"])
        ann = hired.json()["id"]
        more = await admin.patch(f"/v1/agents/{ann}", json={"capacity": 9}, headers={"If-Match": hired.headers["ETag"]})
        assert (more.status_code, more.json()["capacity"]) == (200, 9)
        assert (await admin.get(f"/v1/agents/{ann}")).json()["load"] == 3
        listed = (await admin.get("/v1/agents?team=care")).json()["data"]
        assert [row["id"] for row in listed] == [ann]
        team = await admin.post("/v1/teams", json={"id": "vip", "name": "VIP", "requires_acceptance": True})
        assert team.status_code == 201
        busy = await admin.delete("/v1/teams/care")
        assert (busy.status_code, busy.json()["code"]) == (409, "team-busy")
        assert (await admin.delete("/v1/teams/vip")).status_code == 204
        assert (await admin.delete("/v1/teams/community")).status_code == 409
        assert (await admin.put(f"/v1/teams/product/members/{ann}")).status_code == 204
        assert (await admin.delete(f"/v1/teams/product/members/{ann}")).status_code == 204
    async with person(floor, ann) as client:
        away = await client.put("/v1/agents/me/availability", json={"availability": "away"})
        assert (away.status_code, away.json()["availability"]) == (200, "away")
        assert (await client.post("/v1/agents", json={"name": "Eve"})).status_code == 403
    await floor.check_books()


async def test_a_manager_makes_nobody_who_may_do_more_than_a_manager(floor: Floor) -> None:
    async with person(floor, None, role="manager") as manager:
        assert (await manager.post("/v1/agents", json={"name": "Eve", "role": "admin"})).status_code == 403
        assert (await manager.post("/v1/agents", json={"name": "Eve", "role": "lead"})).status_code == 201


async def test_a_key_is_shown_once_works_and_can_be_revoked(floor: Floor) -> None:
    async with person(floor, None, role="admin") as admin:
        issued = await admin.post("/v1/keys", json={"name": "crm", "role": "integration"})
        assert issued.status_code == 201
        token, key = issued.json()["token"], issued.json()["id"]
        bearer = {"Authorization": f"Bearer {token}"}
        assert (await admin.get("/v1/tickets", headers=bearer)).status_code == 200
        listed = (await admin.get("/v1/keys")).json()["data"]
        assert all("token" not in row for row in listed)
        assert (await admin.delete(f"/v1/keys/{key}")).json()["revoked_at"] is not None
        assert (await admin.get("/v1/tickets", headers=bearer)).status_code == 401
        assert (await admin.delete("/v1/keys/key_none")).status_code == 404


async def test_a_workspace_changes_some_settings_and_keeps_the_rest(floor: Floor) -> None:
    async with person(floor, None, role="admin") as admin:
        shown = await admin.get("/v1/workspace")
        assert shown.json()["settings"]["lease_ttl"] == 30_000
        tag = {"If-Match": shown.headers["ETag"]}
        changed = await admin.patch("/v1/workspace", json={"settings": {"reopen_within_hours": 1}}, headers=tag)
        assert (changed.json()["settings"]["reopen_within_hours"], changed.json()["settings"]["lease_ttl"]) == (
            1,
            30_000,
        )
        bad = await admin.patch(
            "/v1/workspace", json={"settings": {"lease": 1}}, headers={"If-Match": changed.headers["ETag"]}
        )
        assert bad.status_code == 422
        assert (await admin.patch("/v1/workspace", json={"name": "x"}, headers=tag)).status_code == 412


async def test_the_next_ticket_is_the_oldest_of_the_most_urgent(floor: Floor) -> None:
    ann = await floor.add_agent("ann", team=None)
    await floor.deliver(
        routed(message("m1", author="c1"), priority="low"),
        routed(message("m2", author="c2"), priority="urgent"),
        routed(message("m3", author="c3"), priority="urgent"),
    )
    async with person(floor, ann) as client:
        taken = [(await client.post("/v1/teams/care/next")).json() for _ in range(3)]
        assert [row["priority"] for row in taken] == ["urgent", "urgent", "low"]
        assert taken[0]["id"] < taken[1]["id"]
        empty = await client.post("/v1/teams/care/next")
        assert (empty.status_code, empty.json()["code"]) == (409, "queue-empty")
