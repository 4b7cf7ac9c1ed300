"""Every structure leaves nothing unowned at any minute of a week, whoever works and whatever clocks do."""

from datetime import datetime, timedelta

import pytest

from services.router.domain import compile as index
from services.router.domain import preset, rules
from services.router.domain.facts import Facts
from services.router.domain.structures import merged
from services.tickets.domain import schedule as schedules
from services.tickets.domain.assignment import Member, choose
from services.tickets.domain.duty import Duty
from shared import structures
from shared.errors import NotFound

NAMES = structures.names()
WEEKS = {
    "an ordinary week": "2026-11-22T23:00:00+00:00",
    "clocks go forward in Europe": "2026-03-22T23:00:00+00:00",
    "clocks go back in Europe": "2026-10-18T23:00:00+00:00",
    "clocks go back in America": "2026-10-25T23:00:00+00:00",
}
WEEK = timedelta(days=9)
CREWS = (("ann",), ("ann", "bea"), ("ann", "bea", "cem", "dan", "eve"))
MESSAGES = [
    Facts(network=network, kind=kind, channel="chn_1", purpose=purpose, text=text, ad=ad)
    for network in ("facebook", "instagram", "whatsapp", "x", "telegram", "api")
    for purpose in ("brand", "care", "ads", None)
    for kind, ad in (("dm", None), ("comment", None), ("ad_comment", "ad_1"))
    for text in ("I want a refund", "love it, thank you", "which size?", "a collaboration?", "how much?", None)
]


def ruleset(*names: str) -> dict:
    """The preset with these structures, each applied after the one before."""
    document = preset.document()
    for name in names:
        document = merged(document, structures.load(name))
    return document


def duties(name: str, zone: str, crew: tuple[str, ...]) -> dict[str, Duty]:
    """Each team's duty; without a schedule everybody is always on duty."""
    structure = structures.load(name)
    always = {"zone": zone, "shifts": [{"name": "always", "start": "00:00", "end": "24:00", "holidays": True}]}
    return {
        part.id: Duty(schedules.parse({**structure.schedules.get(part.id, always), "zone": zone}), crew)
        for part in structure.teams
    }


def member(agent: str, *, off_duty: set[str]) -> Member:
    return Member(agent=agent, name=agent, availability="available", capacity=1, off_duty=frozenset(off_duty))


@pytest.mark.parametrize("start", WEEKS.values(), ids=WEEKS.keys())
@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin", "America/New_York"])
@pytest.mark.parametrize("name", NAMES)
def test_somebody_is_on_duty_at_every_minute_of_a_week(name: str, zone: str, start: str) -> None:
    since = datetime.fromisoformat(start)
    for crew in CREWS:
        found = duties(name, zone, crew)
        for team, duty in found.items():
            stretches = list(duty.stretches(since, since + WEEK))
            assert sum((one.until - one.since for one in stretches), timedelta()) == WEEK
            for one in stretches:
                owner = found[duty.stand_in(one.since) or team]
                there = [part.agents for part in owner.stretches(one.since, one.until)]
                assert all(there), f"{team}: nobody at some minute between {one.since} and {one.until}"


@pytest.mark.parametrize("name", NAMES)
def test_whatever_comes_at_any_minute_of_a_week_is_given_to_somebody_on_duty(name: str) -> None:
    compiled = index.compile_rules(rules.parse(ruleset(name)))
    decided = [compiled.decide(message).action.team for message in MESSAGES]
    found = duties(name, "Europe/Berlin", CREWS[2])
    since = datetime.fromisoformat(WEEKS["clocks go back in Europe"])
    plans = {team: list(duty.stretches(since, since + WEEK)) for team, duty in found.items()}
    for minute in range(int(WEEK / timedelta(minutes=1))):
        at, team = since + timedelta(minutes=minute), decided[minute % len(decided)]
        owner = (found[team].stand_in(at) if team in found else None) or team
        # Teams that the structure says nothing about have everybody, always.
        there = next((one.agents for one in plans.get(owner, ()) if one.since <= at < one.until), set(CREWS[2]))
        crew = [member(agent, off_duty=set() if agent in there else {owner}) for agent in CREWS[2]]
        assert choose(crew, team=owner, prefer=None, declined=frozenset()).agent in there


@pytest.mark.parametrize("name", NAMES)
def test_every_message_goes_to_a_team_that_is_there(name: str) -> None:
    document = ruleset(name)
    compiled = index.compile_rules(rules.parse(document))
    there = {"community", "care", "product"} | {part.id for part in structures.load(name).teams}
    assert {compiled.decide(message).action.team for message in MESSAGES} <= there


@pytest.mark.parametrize("name", NAMES)
def test_a_structure_applied_twice_changes_nothing(name: str) -> None:
    assert ruleset(name, name) == ruleset(name)


def test_structures_combine_and_the_last_one_decides_first() -> None:
    both = ruleset("network", "brand-care")
    owner = (
        index.compile_rules(rules.parse(both))
        .decide(Facts(network="x", kind="dm", channel="c", purpose="care"))
        .action.team
    )
    other = index.compile_rules(rules.parse(both)).decide(Facts(network="x", kind="dm", channel="c")).action.team
    assert (owner, other) == ("care", "x")
    assert ruleset("network", "brand-care", "network") == both


def test_what_a_ruleset_has_of_its_own_stays() -> None:
    mine = {
        "lanes": {"care": {"en": ["help"]}},
        "rules": [{"name": "mine", "when": {"network": "x"}, "then": {"tags": ["x"]}}],
        "fallback": {"team": "care"},
    }
    changed = merged(mine, structures.load("audience"))
    assert changed["lanes"]["care"] == {"en": ["help"]}
    assert set(changed["lanes"]) == {"awareness", "engagement", "care", "sales", "product"}
    assert changed["rules"][-1] == mine["rules"][0]


def test_a_rule_that_was_changed_is_put_right_where_it_stands() -> None:
    document = ruleset("agency")
    bent = {**document, "rules": [*document["rules"][1:], {**document["rules"][0], "then": {"tags": ["bent"]}}]}
    again = merged(bent, structures.load("agency"))
    assert again["rules"][-1] == document["rules"][0]
    assert len(again["rules"]) == len(document["rules"])


@pytest.mark.parametrize("name", ["", "none", "../network", "network.json"])
def test_there_is_no_other_structure(name: str) -> None:
    with pytest.raises(NotFound):
        structures.load(name)


@pytest.mark.parametrize("name", NAMES)
def test_what_a_structure_names_is_in_it(name: str) -> None:
    structure = structures.load(name)
    teams = {part.id for part in structure.teams}
    stand_ins = {plan["stand_in"] for plan in structure.schedules.values() if "stand_in" in plan}
    assert structure.schedules.keys() | stand_ins <= teams
    assert {rule["then"]["team"] for rule in structure.rules} <= teams


def test_the_week_that_is_looked_at_holds_the_change_of_clocks() -> None:
    shifts = duties("shifts", "Europe/Berlin", CREWS[2])["care"]
    since = datetime.fromisoformat(WEEKS["clocks go back in Europe"])
    lengths = {one.until - one.since for one in list(shifts.stretches(since, since + WEEK))[1:-1]}
    assert lengths == {timedelta(hours=8), timedelta(hours=9)}
