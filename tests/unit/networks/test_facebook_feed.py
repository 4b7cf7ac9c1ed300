"""What Facebook's Page fields become, case by case."""

from datetime import UTC, datetime
from typing import Any

import pytest

from shared.events.messages import Attachment, Author, Post
from shared.networks import registry
from shared.networks.port import Item, Parsed
from tests.support.networks.facebook import (
    facebook_change,
    facebook_comment,
    facebook_entry,
    facebook_reaction,
    facebook_review,
)
from tests.support.networks.sample import PAGE, encode

CUSTOMER = Author(external_id="2002", name="Ana Gómez")
AT = datetime(2025, 11, 22, 8, 26, 40, tzinfo=UTC)


def _parse(*entries: Any) -> Parsed:
    return registry.get("facebook").parse(encode({"object": "page", "entry": list(entries)}))


def _item(*entries: Any) -> Item:
    parsed = _parse(*entries)
    assert parsed.state == "normalized", parsed
    (item,) = parsed.items
    return item


def _code(*entries: Any) -> str:
    parsed = _parse(*entries)
    assert not parsed.items
    (part,) = (*parsed.ignored, *parsed.not_understood)
    return part.code


def test_a_top_level_comment_is_the_root_of_its_own_thread() -> None:
    assert _item(facebook_comment(1)) == Item(
        verb="received",
        kind="comment",
        direction="in",
        origin="customer",
        external_id="500_77000001",
        account_external_id=PAGE,
        occurred_at=datetime(2025, 11, 22, 8, 26, 30, tzinfo=UTC),
        thread="500_77000001",
        parent_external_id=f"{PAGE}_500",
        author=CUSTOMER,
        text="Where is my order 1? 📦",
        post=Post(external_id=f"{PAGE}_500"),
    )


def test_a_comment_on_a_comment_belongs_to_the_thread_above_it() -> None:
    item = _item(facebook_comment(1, parent_id="500_66"))
    assert (item.kind, item.thread, item.parent_external_id) == ("reply", "500_66", "500_66")


@pytest.mark.parametrize("parent", [None, f"{PAGE}_500", "500", "9_500"])
def test_the_post_under_any_of_its_names_is_no_parent_comment(parent: str | None) -> None:
    assert _item(facebook_comment(1, parent_id=parent)).thread == "500_77000001"


def test_a_photo_of_an_album_may_be_named_otherwise_in_the_comment_than_in_the_post() -> None:
    item = _item(facebook_comment(1, comment_id="601_9", parent_id=f"{PAGE}_601", post_id=f"{PAGE}_500"))
    assert (item.kind, item.thread) == ("comment", "601_9")


@pytest.mark.parametrize(
    ("verb", "expected"),
    [
        ("edited", "edited"),
        ("edit", "edited"),
        ("remove", "deleted"),
        ("delete", "deleted"),
        ("hide", "hidden"),
        ("unhide", "unhidden"),
    ],
)
def test_what_happens_to_a_comment_keeps_its_id_and_thread(verb: str, expected: str) -> None:
    item = _item(facebook_comment(1, verb=verb))
    assert (item.verb, item.external_id, item.thread) == (expected, "500_77000001", "500_77000001")
    assert item.occurred_at == AT


def test_a_removal_that_names_no_parent_leaves_the_thread_to_the_index() -> None:
    change = facebook_change("feed", item="comment", verb="remove", comment_id="500_9", post_id=f"{PAGE}_500")
    item = _item(change)
    assert (item.verb, item.thread, item.author, item.text) == ("deleted", None, None, None)


def test_two_edits_differ_in_version_and_a_retry_does_not() -> None:
    first = _item(facebook_comment(1, verb="edited"))
    again = _item({**facebook_comment(1, verb="edited"), "time": 1763800777})
    timed = _item(facebook_comment(1, verb="edited", edited_time=1763800005))
    assert first.version == _item(facebook_comment(1, verb="edited")).version == "1763800000"
    assert again.version == "1763800777"
    assert timed.version == "1763800005"


def test_creation_and_removal_have_one_version_whenever_they_are_told() -> None:
    for verb in ("add", "remove"):
        assert _item({**facebook_comment(1, verb=verb), "time": 1763800777}).version == ""


def test_our_own_comment_comes_back_as_a_native_answer() -> None:
    item = _item(facebook_comment(1, **{"from": {"id": int(PAGE), "name": "Shop"}}))
    assert (item.direction, item.origin) == ("out", "native")


def test_the_old_shape_with_sender_id_names_the_author_too() -> None:
    item = _item(facebook_comment(1, **{"from": None, "sender_id": 2002, "sender_name": "Ana Gómez"}))
    assert item.author == CUSTOMER


def test_a_comment_whose_author_the_app_may_not_know_is_still_a_comment() -> None:
    item = _item(facebook_comment(1, **{"from": None}))
    assert (item.author, item.direction) == (None, "in")


def test_pictures_videos_and_links_are_attachments_once_each() -> None:
    photo, video = "https://cdn.example/a.jpg", "https://cdn.example/b.mp4"
    item = _item(facebook_comment(1, photo=photo, photos=[photo, 7], video=video, link={"no": "url"}))
    assert item.attachments == (Attachment(kind="image", url=photo), Attachment(kind="video", url=video))


def test_a_comment_on_a_post_that_was_never_published_is_on_an_advertisement() -> None:
    post = {"id": f"{PAGE}_500", "is_published": False, "permalink_url": "https://facebook.example/500"}
    item = _item(facebook_comment(1, post=post))
    assert (item.kind, item.thread) == ("ad_comment", "500_77000001")
    assert item.post == Post(external_id=f"{PAGE}_500", permalink="https://facebook.example/500")


def test_what_a_visitor_posts_on_the_page_is_a_mention_and_its_own_thread() -> None:
    visitor = {"from": {"id": 2002, "name": "Ana Gómez"}, "post_id": f"{PAGE}_8", "message": "You rock"}
    for kind in ("post", "status", "photo", "video", "share"):
        item = _item(facebook_change("feed", item=kind, verb="add", **visitor))
        assert (item.kind, item.direction, item.thread, item.text) == ("mention", "in", f"{PAGE}_8", "You rock")


@pytest.mark.parametrize("verb", ["add", "edited", "remove", "hide", "unhide"])
def test_what_the_page_posts_itself_is_ignored(verb: str) -> None:
    own = facebook_change("feed", item="status", verb=verb, post_id=f"{PAGE}_8", **{"from": {"id": PAGE}})
    assert _code(own) == "own-post"


def test_a_mention_of_the_page_in_a_post_or_a_comment_is_the_root_of_its_thread() -> None:
    post = _item(facebook_change("mention", item="post", verb="add", post_id="5_6", message="@Shop hi"))
    comment = _item(
        facebook_change("mention", item="comment", verb="add", post_id="5_6", comment_id="6_7", message="@Shop hi")
    )
    assert (post.kind, post.external_id, post.thread, post.post) == ("mention", "5_6", "5_6", None)
    assert (comment.kind, comment.external_id, comment.thread) == ("mention", "6_7", "6_7")
    assert comment.post == Post(external_id="5_6")


@pytest.mark.parametrize(
    ("more", "rating"),
    [
        ({}, 1),
        ({"recommendation_type": "POSITIVE"}, 5),
        ({"recommendation_type": "MAYBE"}, None),
        ({"rating": 3}, 3),
        ({"rating": True, "recommendation_type": None}, None),
        ({"rating": 6, "recommendation_type": 1}, None),
    ],
)
def test_a_review_has_stars_or_what_its_recommendation_is_worth(more: dict[str, Any], rating: int | None) -> None:
    item = _item(facebook_review(4, **more))
    assert (item.kind, item.external_id, item.thread, item.rating) == ("review", "880004", "880004", rating)
    assert item.author == Author(external_id="4004", name="Bo Li")
    assert item.text == "Never again"


def test_a_comment_under_a_review_belongs_to_the_review() -> None:
    shape = {"item": "comment", "verb": "add", "comment_id": "880004_2", "post_id": "77_880004"}
    item = _item(facebook_change("ratings", **shape, parent_id="77_880004", message="Why?"))
    deeper = _item(facebook_change("ratings", **shape, parent_id="880004_1", open_graph_story_id=880004))
    assert (item.kind, item.thread, item.parent_external_id) == ("comment", "880004", "880004")
    assert (deeper.kind, deeper.thread, deeper.parent_external_id) == ("reply", "880004", "880004_1")


def test_a_reaction_says_who_put_what_on_which_item() -> None:
    item = _item(facebook_reaction(1))
    assert (item.verb, item.kind, item.external_id, item.thread) == ("reacted", "reaction", *["500_77000001"] * 2)
    assert item.author is None
    assert item.reaction is not None
    assert (item.reaction.action, item.reaction.emoji, item.reaction.author) == ("add", "❤", CUSTOMER)


def test_a_reaction_taken_back_and_a_new_kind_of_reaction() -> None:
    gone = _item(facebook_reaction(1, verb="remove")).reaction
    new = _item(facebook_reaction(1, reaction_type="shrug")).reaction
    nameless = _item(facebook_reaction(1, reaction_type=None)).reaction
    assert gone is not None
    assert new is not None
    assert nameless is not None
    assert (gone.action, new.emoji, nameless.emoji) == ("remove", "shrug", None)


def test_reactions_of_two_people_in_one_second_are_two() -> None:
    other = facebook_reaction(1, **{"from": {"id": "2003"}})
    assert len({item.version for item in _parse(facebook_reaction(1), other).items}) == 2


def test_a_reaction_without_parent_on_a_comment_leaves_the_thread_to_the_index() -> None:
    assert _item(facebook_reaction(1, parent_id=None)).thread is None


def test_a_reaction_on_a_post_is_put_on_the_post() -> None:
    item = _item(facebook_reaction(1, comment_id=None, item="like", reaction_type=None))
    assert (item.external_id, item.thread) == (f"{PAGE}_500", f"{PAGE}_500")


@pytest.mark.parametrize(
    ("field", "value", "code"),
    [
        ("feed", {"item": "like", "verb": "add", "user_id": 9}, "page-like"),
        ("feed", {"item": "album", "verb": "add", "album_id": 9}, "page-object"),
        ("feed", {"item": "event", "verb": "add", "event_id": "9"}, "page-object"),
        ("feed", {"item": "video", "verb": "mute", "video_id": 9}, "moderation"),
        ("feed", {"item": "post", "verb": "block", "post_id": "1_2"}, "moderation"),
        ("leadgen", {"leadgen_id": 9}, "leadgen"),
        ("hours", {"monday": 9}, "page-field"),
        ("name", "New name", "page-field"),
        ("feed", {"item": "hologram", "verb": "add"}, "unknown-item"),
        ("feed", {"item": "rating", "verb": "add"}, "unknown-item"),
        ("mention", {"item": "like", "verb": "add"}, "unknown-item"),
        ("feed", {"item": "comment", "verb": "frobnicate", "comment_id": "1_2"}, "unknown-verb"),
        ("feed", {"item": "comment", "verb": "add"}, "no-id"),
        ("feed", {"item": "comment", "verb": "add", "comment_id": ""}, "no-id"),
        ("feed", {"item": "comment", "verb": "add", "comment_id": "x" * 513}, "no-id"),
        ("feed", {"item": "post", "verb": "add"}, "no-id"),
        ("mention", {"item": "post", "verb": "add", "comment_id": "1_2"}, "no-id"),
        ("ratings", {"item": "rating", "verb": "add"}, "no-id"),
        ("ratings", {"item": "like", "verb": "add"}, "no-id"),
        ("feed", {"verb": "add"}, "malformed"),
        ("feed", {"item": "comment", "verb": "add", "comment_id": ["1_2"]}, "malformed"),
        ("feed", {"item": "comment", "verb": "add", "comment_id": "1_2", "message": {"text": "x"}}, "malformed"),
        ("feed", None, "malformed"),
        ("feed", "text", "malformed"),
        ("starships", {"item": "comment"}, "unknown-field"),
    ],
)
def test_what_becomes_no_item_says_why(field: str, value: Any, code: str) -> None:
    assert _code(facebook_entry(changes=[{"field": field, "value": value}])) == code


@pytest.mark.parametrize(
    ("entry", "code"),
    [
        ({"id": PAGE}, "empty-entry"),
        ({"id": PAGE, "time": 1, "changes": [], "messaging": None}, "empty-entry"),
        ({"id": PAGE, "telepathy": [{}]}, "unknown-entry"),
        ({"id": PAGE, "changed_fields": ["feed"]}, "unknown-entry"),
        ({"changes": [{"field": "feed", "value": {}}]}, "no-account"),
        ({"id": "", "changes": [{"field": "feed", "value": {}}]}, "no-account"),
        ({"id": PAGE, "changes": {"field": "feed"}}, "malformed"),
        ({"id": PAGE, "changes": [{"value": {}}]}, "malformed"),
        ({"id": PAGE, "changes": ["feed"]}, "malformed"),
        ("entry", "malformed"),
        ({**facebook_comment(1), "id": "0"}, "test-entry"),
        ({**facebook_comment(1), "id": 0}, "test-entry"),
    ],
)
def test_an_entry_that_holds_nothing_for_us_says_why(entry: Any, code: str) -> None:
    assert _code(entry) == code


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"object": "page", "entry": []}, "no-entries"),
        ({"object": "instagram", "entry": [facebook_comment(1)]}, "wrong-object"),
        ({"object": "page"}, "not-a-webhook"),
        ({"object": "page", "entry": {}}, "not-a-webhook"),
        ({"entry": [facebook_comment(1)]}, "not-a-webhook"),
        ({"data": [{"id": "1_2", "message": "hi"}], "paging": {}}, "not-a-webhook"),
    ],
)
def test_a_body_that_is_no_delivery_of_a_page_says_why(body: Any, code: str) -> None:
    parsed = registry.get("facebook").parse(encode(body))
    (part,) = (*parsed.ignored, *parsed.not_understood)
    assert (part.code, parsed.items) == (code, ())


def test_reasons_say_where_in_the_body_and_repeat_no_long_foreign_text() -> None:
    parsed = _parse(facebook_comment(1), facebook_change("feed", item="x" * 900, verb="add"))
    (part,) = parsed.not_understood
    assert part.detail.startswith("entry[1].changes[0]: ")
    assert len(part.detail) < 100


def test_one_part_that_was_not_understood_marks_the_whole_delivery() -> None:
    parsed = _parse(facebook_comment(1), facebook_entry(changes=[{"field": "starships"}]))
    assert (len(parsed.items), parsed.state) == (1, "not-understood")
