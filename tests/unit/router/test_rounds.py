"""What a surge or a change of duty asks about each ticket, and about which it asks nothing."""

import pytest

from services.router.domain import rounds
from services.router.domain.facts import Facts, SurgeChange, Ticket
from services.router.domain.standing import latest
from services.router.domain.triggers import Occasion, shifted, still_asks
from shared.events.duties import AvailabilityChanged, DutyChanged
from shared.events.payload import SYSTEM
from shared.events.tickets import TicketUpdated
from tests.support.ticket_events import AT, told


def duty(on_duty, *, came=(), went=()):
    return DutyChanged(workspace_id="w1", team="care", actor=SYSTEM, at=AT, on_duty=on_duty, came=came, went=went)


def availability(before, after):
    return AvailabilityChanged(workspace_id="w1", agent="agt_1", actor=SYSTEM, at=AT, before=before, availability=after)


def standing(team="care", owner=None, **fields):
    return latest([told(TicketUpdated, 1, ticket={"team": team, "owner": owner}, **fields)])["tkt_1"]


def asked(data, **ticket):
    round_ = rounds.of_shift("evt_1", data)
    return None if round_ is None else rounds.about(round_, standing(**ticket), AT).shifted


@pytest.mark.parametrize(
    ("data", "ticket", "changes"),
    [
        (duty(1, came=("agt_1",)), {"owner": "agt_1"}, ("owner-on", "team-on")),
        (duty(2, came=("agt_1",)), {"owner": "agt_1"}, ("owner-on",)),
        (duty(0, went=("agt_1",)), {"owner": "agt_1"}, ("owner-off", "team-off")),
        (duty(0, went=("agt_1",)), {}, ("team-off",)),
        (duty(1, came=("agt_2",), went=("agt_1",)), {"owner": "agt_1"}, ("owner-off",)),
        (duty(1, came=("agt_2",), went=("agt_1",)), {}, ()),
        (duty(0, went=("agt_1",)), {"team": "product"}, ()),
        (availability("away", "available"), {"owner": "agt_1"}, ("owner-available",)),
        (availability("available", "offline"), {"owner": "agt_1", "team": "product"}, ("owner-away",)),
        (availability("away", "offline"), {"owner": "agt_1"}, None),
    ],
)
def test_a_change_of_duty_says_what_changed_for_the_ticket(data, ticket, changes):
    assert asked(data, **ticket) == changes


def test_each_ticket_is_asked_about_each_change_under_a_name_of_its_own():
    surges = [rounds.of_surge("srg_1", SurgeChange(change=change, subject="tag:x")) for change in ("began", "ended")]
    names = {rounds.about(one, standing(), AT).event_id for one in surges}
    other = latest([told(TicketUpdated, 1, ticket={"id": "tkt_2"})])["tkt_2"]
    assert len(names | {rounds.about(surges[0], other, AT).event_id}) == 3


@pytest.mark.parametrize(
    ("now", "changes"),
    [
        ({"owner": "agt_1"}, ("owner-off", "team-off")),
        ({"owner": "agt_2"}, ("team-off",)),
        ({"owner": "agt_1", "team": "product"}, ("owner-off",)),
        ({"owner": None, "team": "product"}, ()),
    ],
)
def test_a_ticket_that_moved_on_is_asked_about_what_still_concerns_it(now, changes):
    saw = Facts(network="", ticket=Ticket(team="care", owner="agt_1"))
    occasion = Occasion(trigger="shift.changed", event_id="ocn_1", at=AT, shifted=("owner-off", "team-off"), facts=saw)
    assert shifted(occasion, standing(**now)) == changes
    assert still_asks(occasion, standing(**now)) is bool(changes)
