"""Saved filters."""

from tests.support.floor import OTHER, Floor
from tests.support.tickets_app import person


async def test_views_are_ones_own_or_everybodys(floor: Floor) -> None:
    ann, bea = await floor.add_agent("ann"), await floor.add_agent("bea")
    zoe = await floor.add_agent("zoe", workspace=OTHER)
    query = {"team": "care", "state": ["open"], "tag": ["vip"], "sort": "updated"}
    async with person(floor, ann) as one, person(floor, bea, role="lead") as lead:
        own = await one.post("/v1/views", json={"name": "Mine", "query": query})
        assert (own.status_code, own.json()["scope"], own.json()["query"]) == (201, "own", query)
        assert (await one.post("/v1/views", json={"name": "All", "query": {}, "shared": True})).status_code == 403
        shared = await lead.post("/v1/views", json={"name": "All", "query": {}, "shared": True})
        assert [row["name"] for row in (await one.get("/v1/views")).json()["data"]] == ["Mine", "All"]
        assert [row["name"] for row in (await lead.get("/v1/views")).json()["data"]] == ["All"]
        path, tag = f"/v1/views/{own.json()['id']}", {"If-Match": own.headers["ETag"]}
        assert (await lead.delete(path)).status_code == 404
        assert (await one.delete(f"/v1/views/{shared.json()['id']}")).status_code == 403
        renamed = await one.patch(path, json={"name": "My VIPs"}, headers=tag)
        assert (renamed.json()["name"], renamed.json()["query"]) == ("My VIPs", query)
        assert (await one.patch(path, json={"name": "x"}, headers=tag)).status_code == 412
        assert (await one.post("/v1/views", json={"name": "x", "query": {"colour": "red"}})).status_code == 422
        assert (await one.delete(path)).status_code == 204
    async with person(floor, zoe, workspace=OTHER, role="lead") as stranger:
        assert (await stranger.get("/v1/views")).json()["data"] == []
        assert (await stranger.delete(f"/v1/views/{shared.json()['id']}")).status_code == 404
