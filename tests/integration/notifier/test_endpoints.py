"""Endpoints belong to those who may manage them, and are what their owners last said."""

import httpx
import jsonschema
import pytest

from shared.events import tickets
from tests.support import api
from tests.support.outgoing import ticket
from tests.support.pushing import pushing
from tests.support.receiving import receiving
from tests.support.waiting import eventually


@pytest.fixture
async def push(database):
    async with pushing(database) as made:
        yield made


async def call(push, method, path, **options) -> httpx.Response:
    return await push.client.request(method, path, **options)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"url": "ftp://example.com", "event_types": ["*"]}, 422),
        ({"url": "http://127.0.0.1:1/x", "event_types": ["ticket.exploded"]}, 422),
        ({"url": "http://127.0.0.1:1/x", "event_types": []}, 422),
        ({"url": "http://127.0.0.1:1/x", "event_types": ["*"], "more": 1}, 422),
        ({"url": "http://user:pass@127.0.0.1:1/x", "event_types": ["*"]}, 422),
    ],
)
async def test_what_cannot_be_an_endpoint_is_refused(push, body, status):
    assert (await call(push, "POST", "/v1/endpoints", json=body)).status_code == status


async def test_an_endpoint_is_changed_by_the_version_that_was_read(push):
    async with receiving() as receiver:
        endpoint = await push.endpoint(receiver)
        path = f"/v1/endpoints/{endpoint['id']}"
        change = {"event_types": ["lease.*"]}
        assert (await call(push, "PATCH", path, json=change)).status_code == 428
        changed = await call(push, "PATCH", path, json=change, headers={"If-Match": '"1"'})
        assert (changed.status_code, changed.json()["event_types"]) == (200, ["lease.*"])
        assert (await call(push, "PATCH", path, json=change, headers={"If-Match": '"1"'})).status_code == 412
        runs = push.deliverer._runs
        await eventually(lambda: endpoint["id"] in runs and runs[endpoint["id"]]._version == (2, False))
        await push.happen()
        await push.happen(kind=tickets.NoteAdded, note_id="n", text="x")
        assert (await call(push, "DELETE", path)).status_code == 204
        assert (await call(push, "GET", path)).status_code == 404
        assert (await call(push, "GET", "/v1/endpoints")).json()["data"] == []
        assert receiver.pushes == []


async def test_endpoints_of_another_workspace_or_team_do_not_exist(push, database):
    async with receiving() as receiver:
        endpoint = await push.endpoint(receiver)
    app = push.client._transport.app
    for token in (await api.new_key(database, "w2"), await api.new_key(database, "w1", teams=["care"])):
        async with api.client(app, token) as stranger:
            for method, path in (
                ("GET", ""),
                ("DELETE", ""),
                ("POST", "/test"),
                ("POST", "/rotate"),
                ("POST", "/pause"),
            ):
                assert (await stranger.request(method, f"/v1/endpoints/{endpoint['id']}{path}")).status_code == 404
            assert (await stranger.get("/v1/endpoints")).json()["data"] == []


async def test_a_key_of_some_teams_gets_events_of_these_only(push, database):
    app = push.client._transport.app
    async with receiving() as receiver, api.client(app, await api.new_key(database, "w1", teams=["care"])) as narrow:
        body = {"url": receiver.url, "event_types": ["*"]}
        assert (await narrow.post("/v1/endpoints", json={**body, "teams": ["product"]})).status_code == 403
        assert (await narrow.post("/v1/endpoints", json=body)).json()["teams"] == ["care"]
        await push.happen(view=ticket("t9", team="product"))
        await push.happen()
        await eventually(lambda: receiver.sequences == [2])


async def test_a_hook_subscribes_to_one_type_and_unsubscribes(push):
    async with receiving() as receiver:
        body = {"target_url": receiver.url, "event": "ticket.created"}
        made = await call(push, "POST", "/v1/hooks", json=body)
        assert (made.status_code, set(made.json())) == (201, {"id"})
        await push.happen()
        await push.happen(kind=tickets.TicketCreated)
        await eventually(lambda: receiver.sequences == [2])
        assert (await call(push, "DELETE", f"/v1/hooks/{made.json()['id']}")).status_code == 204
        assert (await call(push, "DELETE", f"/v1/hooks/{made.json()['id']}")).status_code == 404


async def test_a_workspace_has_only_so_many_endpoints(database):
    async with pushing(database, endpoint_limit=1) as push, receiving() as receiver:
        await push.endpoint(receiver)
        refused = await call(push, "POST", "/v1/hooks", json={"target_url": receiver.url, "event": "ticket.created"})
        assert (refused.status_code, refused.json()["code"]) == (409, "too-many-endpoints")


async def test_every_event_type_has_a_schema_that_its_example_fits(push):
    listed = (await call(push, "GET", "/v1/event-types")).json()["data"]
    assert {"ticket.created.v1", "reply.settled.v1", "endpoint.disabled.v1"} <= {each["name"] for each in listed}
    for each in listed:
        assert each["description"]
        jsonschema.validate(each["example"]["data"], each["schema"])
