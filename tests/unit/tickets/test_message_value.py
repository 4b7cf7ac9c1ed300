"""What becomes of an item, in any order."""

from itertools import permutations

import msgspec
import pytest

from services.tickets.domain.message import Stored, arrived, blank, revised
from shared.events.messages import Author, Reaction
from shared.events.routing import MessageRouted
from tests.support.messages import message


def event(
    verb: str, *, text: str | None = "Hello", version: str = "", reaction: Reaction | None = None
) -> MessageRouted:
    return MessageRouted(
        workspace_id="wsp_1",
        verb=verb,
        event_id=f"evt_{verb}_{version}_{text}",
        message=message(text=text),
        provider_version=version,
        reaction=reaction,
    )


def told(*events: MessageRouted) -> Stored:
    """The item after these events, as the handler applies them."""
    stored: Stored | None = None
    for one in events:
        if one.verb == "received":
            stored = arrived(one, stored)
        else:
            before = stored or blank(one)
            stored = revised(one, before) or before
    assert stored is not None
    return stored


@pytest.mark.parametrize(
    "events",
    [
        [event("received", text="one", version="1"), event("edited", text="two", version="2")],
        [event("received"), event("deleted", text=None)],
        [event("received"), event("hidden")],
        [event("received", version="1"), event("edited", text="two", version="2"), event("deleted", text=None)],
        [
            event("received"),
            event("reacted", reaction=Reaction(action="add", emoji="❤", author=Author(external_id="x"))),
        ],
        [
            event("received", text="one", version="1"),
            event("edited", text="two", version="2"),
            event("edited", text="three", version="3"),
        ],
    ],
)
def test_an_item_is_the_same_whatever_the_order_of_its_events(events: list[MessageRouted]) -> None:
    def facts(stored: Stored) -> tuple[object, ...]:
        return stored.state, stored.text, stored.reactions, stored.received, stored.message.text

    assert {str(facts(told(*order))) for order in permutations(events)} == {str(facts(told(*events)))}


def test_a_deletion_is_final() -> None:
    gone = told(event("received"), event("deleted", text=None))
    assert (gone.state, gone.text, gone.message.attachments) == ("deleted", None, ())
    assert revised(event("edited", text="back", version="9"), gone) is None
    assert revised(event("unhidden"), gone) is None


def test_what_changes_nothing_is_nothing() -> None:
    stored = told(event("received", version="1"))
    assert revised(event("edited", version="1"), stored) is None
    assert revised(event("unhidden"), stored) is None
    assert revised(event("edited", text="old", version="0"), stored) is None


def test_versions_that_cannot_be_compared_are_taken_as_they_come() -> None:
    stored = told(event("received", version="etag-b"))
    assert revised(event("edited", text="new", version="etag-a"), stored).text == "new"


def test_a_reaction_is_taken_back() -> None:
    reactor = Author(external_id="x")
    loved = told(event("received"), event("reacted", reaction=Reaction(action="add", emoji="❤", author=reactor)))
    assert loved.reactions == {"x": "❤"}
    again = revised(event("reacted", reaction=Reaction(action="add", emoji="❤", author=reactor)), loved)
    assert again is None
    bare = revised(event("reacted", reaction=Reaction(action="remove", author=reactor)), loved)
    assert bare.reactions == {}


def test_an_item_of_which_only_an_edit_is_known_has_not_arrived() -> None:
    foretold = told(event("edited", text="two", version="2"))
    assert (foretold.received, foretold.text) == (False, "two")
    assert msgspec.structs.asdict(foretold)["ticket_id"] is None
