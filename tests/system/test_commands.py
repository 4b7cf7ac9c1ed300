"""The command line beside a running system, and the demo that audits itself."""

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from shared.networks.registry import NETWORKS
from tests.support.callers import Api, until
from tests.support.forks import Forks
from tests.support.page import Page, unique
from tests.support.system import System


def lines(out: str) -> list[dict[str, Any]]:
    """JSON lines."""
    return [json.loads(line) for line in out.splitlines()]


@pytest.mark.timeout(120)
async def test_the_demo_loses_nothing_doubles_nothing_and_prevents_collisions(tmp_path: Path, forks: Forks):
    code, out, err = await System(tmp_path, forks).process_of(
        "demo", "--own", "--json", "--messages", "150", "--rate", "50"
    )
    assert code == 0, err + out
    [day] = lines(out)
    assert day["problems"] == []
    told = day["conversations"]
    assert {story["network"] for story in told} == set(NETWORKS)
    assert {(story["answer"] != "", story["because"]) for story in told} == {(True, "turn-taken")}
    assert all(story["ticket"] and story["owner"] == story["answered_by"] != story["refused"] for story in told)
    assert day["messages"] >= 150
    assert day["refused"] == 0
    prevented = {name: count for name, count in day["collisions"].items() if name.startswith("prevented")}
    assert sum(prevented.values()) >= 1, day
    assert "sent" in day["replies"]
    assert day["replies"].keys() <= {"sent", "held"}
    assert day["latency_ms"]["p99"] is not None


async def test_a_second_demo_is_another_day_and_leaves_the_customers_of_others_alone(system: System, page: Page):
    _, item, ticket = await page.asked()
    for _ in range(2):
        code, out, err = await system.baton("demo", "--json", "--messages", "30", "--rate", "100")
        assert code == 0, err + out
        [day] = lines(out)
        assert (day["problems"], day["messages"]) == ([], 30)
        assert day["replies"].keys() <= {"sent", "held"}
        assert "idempotency-key-reused" not in day["attempts_to_answer"]
    channels = [one for one in await page.admin.every("/v1/channels") if one["name"].startswith("Demo ")]
    for channel in channels:
        deliveries = await page.admin.every("/v1/inbox", channel_id=channel["id"])
        assert {delivery["state"] for delivery in deliveries} <= {"normalized", "ignored"}
    assert {channel["network"] for channel in channels} == set(NETWORKS)
    assert page.received(item) == []
    assert (await page.admin.get(f"/v1/tickets/{ticket['id']}"))["version"] == ticket["version"]


async def test_doctor_finds_nothing_wrong_with_a_system_that_runs(system: System, page: Page):
    await page.asked()
    code, out, err = await system.baton("doctor", "--json")
    findings = lines(out)
    assert code == 0, err + out
    assert {finding["level"] for finding in findings} <= {"ok", "warning"}
    assert [finding["check"] for finding in findings if finding["level"] == "warning"] == ["egress"]
    assert len(findings) > 10


async def test_structure_names_every_service_with_what_it_consumes_and_serves(system: System):
    code, out, _ = await system.baton("structure", "--json")
    assert code == 0
    services = {entry["service"]: entry for entry in lines(out)}
    assert services.keys() == {"ingest", "router", "tickets", "notifier"}
    assert "baton.messages.v1" in services["router"]["consumes"]
    assert "baton.tickets.v1" in services["notifier"]["consumes"]
    assert "GET /v1/tickets" in services["tickets"]["routes"]
    assert any("/webhooks" in route for route in services["ingest"]["routes"])


async def test_parse_shows_what_a_body_becomes_without_a_server(system: System, page: Page, tmp_path: Path):
    body = tmp_path / "body.json"
    body.write_text(json.dumps(page.comment(77, "My parcel never arrived")))
    code, out, err = await system.baton("parse", "facebook", str(body))
    assert code == 0, err
    [line] = lines(out)
    assert "My parcel never arrived" in json.dumps(line)
    code, _, err = await system.process_of("parse", "facebook", str(tmp_path / "missing.json"))
    assert (code, len(err.splitlines())) == (1, 1)
    code, _, err = await system.baton("parse", "myspace", str(body))
    assert (code, len(err.splitlines())) == (1, 1)


async def test_config_shows_every_setting_and_no_secret(system: System):
    code, out, _ = await system.baton("config", "--json", BATON_DATABASE_URL="postgresql://u:hunter2@h/d")
    assert code == 0
    shown = json.loads(out)
    assert shown["BATON_ALLOW_PRIVATE_EGRESS"] is True
    assert "hunter2" not in out


async def test_keys_are_issued_listed_and_revoked(system: System, admin: Api):
    name = f"robot {unique()}"
    code, out, err = await system.baton("keys", "create", name, "--role", "analyst")
    assert code == 0, err
    robot = Api(admin.http, out.strip())
    assert "data" in await robot.get("/v1/tickets")
    assert (await robot.post("/v1/channels", {})).status_code == 403
    _, listed, _ = await system.baton("keys", "list", "--json")
    [key] = [entry for entry in lines(listed) if entry["name"] == name]
    assert out.strip() not in listed
    assert key["id"] in (await system.baton("keys", "list"))[1]
    assert (await system.baton("keys", "revoke", key["id"]))[0] == 0
    assert (await robot.call("GET", "/v1/tickets")).status_code == 401


async def test_dead_letters_are_listed_and_a_missing_one_is_one_line(system: System):
    for command in ("list", "parked"):
        assert (await system.baton("dlq", command, "--json"))[:2] == (0, "")
    code, _, err = await system.baton("dlq", "show", "dlq_nobody")
    assert (code, len(err.splitlines())) == (1, 1)
    assert "404" in err


async def test_webhooks_are_created_tested_and_followed(system: System, page: Page):
    code, out, err = await system.baton(
        "webhooks", "create", "http://127.0.0.1:9/", "--event-type", "ticket.created.v1"
    )
    assert code == 0, err
    made = json.loads(out)
    assert made.keys() == {"id", "secret"}
    _, listed, _ = await system.baton("webhooks", "list", "--json")
    assert made["id"] in [entry["id"] for entry in lines(listed)]
    code, tested, err = await system.baton("webhooks", "test", made["id"])
    assert code == 0, err
    assert json.loads(tested)["status"] is None
    await page.asked()

    async def tried() -> list[dict[str, Any]]:
        code, deliveries, err = await system.baton("webhooks", "deliveries", made["id"], "--json")
        assert code == 0, err
        return lines(deliveries)

    [delivery] = await until(tried)
    assert (delivery["type"], delivery["state"]) == ("ticket.created.v1", "waiting")
    assert [attempt["status"] for attempt in delivery["attempts"]] == [None]
    code, table, err = await system.baton("webhooks", "deliveries", made["id"])
    assert code == 0, err
    assert "ticket.created.v1" in table


async def test_a_command_without_a_system_says_so_in_one_line(tmp_path: Path):
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "services.cli.main", "keys", "list", "--data-dir", str(tmp_path)),
        stderr=asyncio.subprocess.PIPE,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(Path(__file__).parents[2])},
    )
    _, err = await process.communicate()
    assert process.returncode == 1
    assert len(err.splitlines()) == 1
