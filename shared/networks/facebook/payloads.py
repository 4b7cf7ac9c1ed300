"""What a Page's fields say as frozen values: strict where a mistake would change the meaning, tolerant elsewhere."""

from typing import Any, Final

import msgspec

from shared.networks.bodies import Identifier
from shared.networks.meta.payloads import Person


class FeedValue(msgspec.Struct, frozen=True, rename={"author": "from"}):
    """The value of a feed, mention or ratings change, in the old shape (`sender_id`) and the new one (`from`)."""

    item: str
    verb: str
    author: Person | None = None
    sender_id: Identifier = None
    sender_name: str | None = None
    reviewer_id: Identifier = None
    reviewer_name: str | None = None
    user_id: Identifier = None
    comment_id: Identifier = None
    post_id: Identifier = None
    parent_id: Identifier = None
    open_graph_story_id: Identifier = None
    message: str | None = None
    review_text: str | None = None
    rating: Any = None
    recommendation_type: Any = None
    reaction_type: str | None = None
    created_time: Any = None
    edited_time: Any = None
    permalink_url: Any = None
    photo: Any = None
    photos: Any = None
    video: Any = None
    link: Any = None
    post: Any = None


FEED_VALUE: Final = msgspec.json.Decoder(FeedValue)
