"""The customers of one day: what they write, in which languages, and how networks deliver it (twice, late, edited)."""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from services.cli.demo.networks.facebook import PAGE

COMPLAINTS: Final = (
    "My parcel never arrived and I want a refund 😡",
    "The zip is broken after two days. Unacceptable.",
    "¡Esto es una estafa! Quiero un reembolso.",
    "Der Reißverschluss ist kaputt, ich möchte eine Rückerstattung",
    "注文した商品が壊れていました。返金してください。",
    "我要退款，质量太差了",
    "환불해주세요 🙏",
    "Le produit ne fonctionne pas, c'est une arnaque",
)
QUESTIONS: Final = (
    "Where is my order? It's been a week",
    "Can you help me change my address?",
    "¿A qué hora abre la tienda de Madrid?",
    "いつ届きますか？",
    "Do you ship to Norway?",
)
PRODUCT: Final = (
    "How much is the blue backpack?",
    "Is it waterproof?",
    "¿Cuánto cuesta la talla M?",
    "这个多少钱？",
    "Is the large back in stock?",
)
CHATTER: Final = (
    "Love this brand ❤️",
    "Obsessed 😍😍",
    "Qué bonito!",
    "素敵です",
    "Came here from the ad, looks great",
    "👏👏👏",
)
REVIEWS: Final = ("Great store, kind people", "Slow delivery, but good quality", "Nie wieder.")
SETTLED: Final = 40
"""Comments that nobody changes yet."""

FOLLOW_UPS: Final = ("Hello??", "Anyone there?", "Also, my order number is 48213", "Here is a photo", "Please answer")


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """One webhook, and the provider ids of the new inbound items in it."""

    payload: dict[str, Any]
    items: tuple[str, ...]
    duplicate: bool = False


class World:
    """Deliveries in order, always the same for one seed and start (`now`: seconds since 1970)."""

    def __init__(self, seed: int, *, customers: int, now: int) -> None:
        self.chance = random.Random(seed)
        self.run = f"{seed:x}{now:x}"
        """Stands in every id, so that a second day in the same system is told apart from the first."""
        self._customers = customers
        self._numbers = 0
        self._time = now
        self._written: list[tuple[str, str, str]] = []

    def deliveries(self, messages: int) -> Iterator[Delivery]:
        """Deliveries with so many new inbound items, and edits, deletes, reactions and duplicates among them."""
        written = 0
        previous: Delivery | None = None
        while written < messages:
            delivery = self._next(messages - written)
            written += len(delivery.items)
            yield delivery
            if previous and self.chance.random() < 0.05:
                # Networks send things twice, seconds apart.
                yield Delivery(payload=previous.payload, items=(), duplicate=True)
            previous = delivery

    def _next(self, room: int) -> Delivery:
        # Seconds stand still now and then: networks' clocks are coarse, and order must not depend on them.
        self._time += self.chance.randrange(0, 2)
        roll = self.chance.random()
        if roll < 0.45:
            return self._comment()
        if roll < 0.80 or room < 4:
            return self._direct(1)
        if roll < 0.86:
            # Photos sent at once: four messages, one customer, one ticket.
            return self._direct(4)
        if roll < 0.90:
            return self._review()
        if roll < 0.95 and len(self._written) > SETTLED:
            return self._change()
        return self._comment()

    def _customer(self) -> tuple[str, str]:
        # A few people write a lot, most write once.
        number = self.chance.randrange(max(1, self._customers // 10) if self.chance.random() < 0.3 else self._customers)
        return f"77{self._run_number()}{number:06}", f"Customer {number}"

    def _run_number(self) -> str:
        return str(int(self.run, 16) % 10_000).zfill(4)

    def _text(self) -> str:
        group = self.chance.choices((COMPLAINTS, QUESTIONS, PRODUCT, CHATTER, FOLLOW_UPS), (20, 20, 20, 25, 15))[0]
        return self.chance.choice(group)

    def _id(self, kind: str) -> str:
        self._numbers += 1
        return f"{kind}{self.run}{self._numbers:06}"

    def _comment(self) -> Delivery:
        author, name = self._customer()
        post = f"{PAGE}_{self.chance.randrange(900, 920)}"
        comment = f"{post.rpartition('_')[2]}_{self._id('9')}"
        value = {
            "item": "comment",
            "verb": "add",
            "comment_id": comment,
            "parent_id": post,
            "post_id": post,
            "from": {"id": author, "name": name},
            "message": self._text(),
            "created_time": self._time,
        }
        self._written.append((comment, post, author))
        return Delivery(payload=self._feed("feed", value), items=(comment,))

    def _direct(self, count: int) -> Delivery:
        author, _ = self._customer()
        entries = []
        items = []
        for _ in range(count):
            mid = self._id("m_")
            items.append(mid)
            entries.append(
                {
                    "sender": {"id": author},
                    "recipient": {"id": PAGE},
                    "timestamp": self._time * 1000 + len(items),
                    "message": {"mid": mid, "text": self._text()},
                }
            )
        payload = {"object": "page", "entry": [{"id": PAGE, "time": self._time * 1000, "messaging": entries}]}
        return Delivery(payload=payload, items=tuple(items))

    def _review(self) -> Delivery:
        author, name = self._customer()
        story = self._id("5")
        value = {
            "item": "rating",
            "verb": "add",
            "reviewer_id": author,
            "reviewer_name": name,
            "rating": self.chance.randrange(1, 6),
            "review_text": self.chance.choice(REVIEWS),
            "open_graph_story_id": story,
            "created_time": self._time,
        }
        return Delivery(payload=self._feed("ratings", value), items=(story,))

    def _change(self) -> Delivery:
        # Not the newest: webhooks overtake each other, and what is deleted before it is known never becomes work.
        comment, post, author = self.chance.choice(self._written[:-SETTLED])
        verb = self.chance.choice(("edited", "remove", "hide"))
        value = {
            "item": "comment",
            "verb": verb,
            "comment_id": comment,
            "parent_id": post,
            "post_id": post,
            "from": {"id": author},
            "created_time": self._time,
        }
        if verb == "edited":
            value["message"] = self._text()
        return Delivery(payload=self._feed("feed", value), items=())

    def _feed(self, field: str, value: dict[str, Any]) -> dict[str, Any]:
        return {
            "object": "page",
            "entry": [{"id": PAGE, "time": self._time, "changes": [{"field": field, "value": value}]}],
        }
