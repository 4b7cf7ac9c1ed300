"""The demo's day is the same for one seed, and looks like a day."""

import json

from services.cli.demo.world import World
from shared.networks import registry

NOW = 1_795_000_000


def day(seed: int, messages: int = 300):
    return list(World(seed, customers=40, now=NOW).deliveries(messages))


def test_one_seed_is_one_day_and_another_seed_another():
    assert day(1) == day(1)
    assert day(1) != day(2)


def test_the_day_has_as_many_messages_as_were_asked_for_each_named_once():
    items = [item for delivery in day(3) for item in delivery.items]
    assert len(items) == len(set(items)) >= 300


def test_every_delivery_is_understood_by_the_real_adapter_and_holds_the_items_it_says():
    network = registry.get("facebook")
    for delivery in day(4):
        parsed = network.parse(json.dumps(delivery.payload).encode())
        new = [item.external_id for item in parsed.items if item.verb == "received"]
        assert parsed.not_understood == ()
        if not delivery.duplicate:
            assert new == list(delivery.items)


def test_networks_send_twice_write_in_bursts_and_change_what_they_said():
    deliveries = day(5)
    verbs = {
        change["value"]["verb"]
        for delivery in deliveries
        for entry in delivery.payload["entry"]
        for change in entry.get("changes", [])
    }
    assert any(delivery.duplicate for delivery in deliveries)
    assert any(len(delivery.items) == 4 for delivery in deliveries)
    assert {"add", "edited", "remove", "hide"} <= verbs
