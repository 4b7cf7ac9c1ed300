"""Random rulesets and messages of many scripts, out of words and values that meet often."""

from datetime import UTC, datetime, timedelta

from hypothesis import strategies as st

from services.router.domain.classified import Classified
from services.router.domain.facts import Customer, Facts, SurgeChange, Ticket
from services.router.domain.surging import Surging
from tests.support import naive_rules

WORDS = [
    "refund",
    "price",
    "cat",
    "cat*",
    "退款",
    "返金",
    "환불",
    "help me",
    "não",
    "ok?",
    "über",
    "İade",
    "คืนเงิน",
    "❤️",
]
SAID = [
    *WORDS,
    "hello",
    "concatenate",
    "退款吧",
    "환불해주세요",
    "!",
    "#sale",
    "#Über",
    "ref2",
    "order #123",
    "STRASSE",
    "re\u200bfund",
    "café",
]
CALENDARS = {
    "office": {"zone": "Europe/Berlin", "hours": {"mon": [["09:00", "17:00"]], "sun": [["22:00", "02:00"]]}},
    "away": {"zone": "Asia/Tokyo", "hours": {"mon": [["00:00", "24:00"]]}, "holidays": {"dates": ["2026-11-23"]}},
}


def some(*values, least=1, most=3):
    return st.lists(st.sampled_from(values), min_size=least, max_size=most)


def asking(**operators):
    """An object with one or two operators."""
    each = [value.map(lambda given, name=name: {name: given}) for name, value in operators.items()]
    return st.lists(st.one_of(each), min_size=1, max_size=2).map(
        lambda found: {k: v for one in found for k, v in one.items()}
    )


PLANS = ("gold", "1", 1, True, False, 0)
numbers = st.sampled_from([0, 10, 10_000])
keywords = st.fixed_dictionaries(
    {}, optional={"any": some(*WORDS), "all": some(*WORDS, most=2), "phrase": some(*WORDS), "none": some(*WORDS)}
).filter(bool)
FACTS = {
    "network": some("facebook", "x", "api", least=0, most=2),
    "kind": st.one_of(st.sampled_from(["dm", "review"]), asking(eq=st.just("dm"), ne=some("review"), starts=st.just("d"))),
    "channel": some("c1", "c2", least=0),
    "keywords": keywords,
    "author": st.sampled_from([{"ids": ["7"]}, {"handles": ["@Ann"]}, {"ids": ["8"], "handles": ["Bob"]}]),
    "author.list": some("vip", "staff", most=2),
    "author.followers": st.one_of(
        numbers,
        asking(gt=numbers, gte=numbers, lt=numbers, lte=numbers, set=st.booleans(), ne=numbers, between=st.just([1, 10])),
    ),
    "author.verified": st.booleans(),
    "sentiment": st.one_of(some("negative", "positive"), asking(ne=st.just("negative"), set=st.booleans())),
    "author.first": st.booleans(),
    "volume.surge": st.one_of(st.booleans(), asking(ne=st.booleans(), set=st.booleans())),
    "ticket.open": st.one_of(st.booleans(), asking(set=st.booleans())),
    "ticket.team": st.one_of(some("care", "product"), asking(ne=st.just("care"), set=st.booleans())),
    "ticket.tags": asking(any=some("late", "vip"), all=some("late", "vip"), none=some("late"), set=st.booleans()),
    "customer.tags": asking(any=some("late", "vip"), all=some("late", "vip"), none=some("late"), set=st.booleans()),
    "customer.attributes.plan": st.one_of(
        some(*PLANS, most=2),
        asking(
            ne=st.sampled_from(PLANS),
            set=st.booleans(),
            gt=numbers,
            lte=numbers,
            between=st.just([0, 1]),
            starts=st.just("g"),
            wildcard=st.just("g*d"),
        ),
    ),
    "shift": st.one_of(some("care", "agt_1"), asking(none=some("care", "agt_1"), all=some("care", "agt_1"), set=st.booleans())),
    "shift.change": st.one_of(some("owner-off", "team-off"), asking(none=some("team-off"), set=st.booleans())),
    "surge.change": st.one_of(some("began", "ended"), asking(ne=st.just("began"), set=st.booleans())),
    "surge.subject": st.one_of(some("workspace", "tag:x"), asking(starts=st.just("tag:"), set=st.booleans())),
    "ticket.answered": asking(gt=numbers, lte=numbers, set=st.booleans()),
    "author.id": asking(wildcard=st.sampled_from(["7?", "7*"]), set=st.booleans()),
    "post.ad": asking(set=st.booleans(), eq=st.just("ad1")),
    "hashtags": asking(any=some("sale", "#über"), all=some("sale", "über"), none=some("sale"), set=st.booleans(), starts=st.just("s")),
    "media": asking(eq=st.just("image"), set=st.booleans()),
    "lane": st.sampled_from(["care", "sales", ["care", "sales"], {"ne": "care"}]),
    "time": asking(within=some("office", "away"), outside=st.just("office"), holiday=st.just("away"), workday=st.just("away")),
    "text": st.one_of(st.sampled_from(WORDS), some(*WORDS), asking(
        any=some(*WORDS),
        all=some(*WORDS, most=2),
        none=some(*WORDS),
        eq=st.sampled_from(["Help  Me", "退款"]),
        starts=st.sampled_from(["HELP", "退"]),
        regex=some(*naive_rules.PYTHON),
        wildcard=st.sampled_from(["re*d", "c?t", "*fund", "caf?", "退*", "환?"]),
        set=st.booleans(),
    )),
}  # fmt: skip
flat = st.fixed_dictionaries({}, optional=FACTS).map(lambda when: dict(list(when.items())[:3]))
conditions = st.recursive(
    st.sampled_from(list(FACTS)).flatmap(lambda name: FACTS[name].map(lambda asked: {name: asked})),
    lambda inner: st.one_of(
        st.fixed_dictionaries({"all": st.lists(inner, min_size=1, max_size=3)}),
        st.fixed_dictionaries({"any": st.lists(inner, min_size=1, max_size=3)}),
        st.fixed_dictionaries({"not": inner}),
        st.tuples(inner, inner).map(lambda two: two[0] | two[1]),
    ),
    max_leaves=6,
)
actions = st.sampled_from(
    [
        {"team": "care"},
        {"team": "care", "priority": "low", "tags": ["a"]},
        {"ignore": True},
        {"tags": ["a", "b"]},
        {"priority": "urgent"},
        {"lane": "care", "tags": ["b"]},
        {"tags": ["c"], "stop": True},
        {"auto_reply": {"text": "Hello {{author.handle|there}}"}},
        {"team": "product", "auto_reply": {"text": "Soon"}, "private_reply": {"text": "Where?", "once_per": "message"}},
        {"private_reply": {"text": "{{network}}", "answers": True}, "tags": ["d"]},
    ]
)
documents = st.lists(st.tuples(st.one_of(flat, conditions), actions, st.booleans()), max_size=6).map(
    lambda found: {
        "fallback": {"team": "community", "auto_reply": {"text": "We are on it"}},
        "lists": {"vip": {"ids": ["7"], "handles": ["@ANN"]}, "staff": {"ids": ["8"]}},
        "lanes": {"care": {"en": ["refund", "help me"], "zh": ["退款"]}, "sales": {"en": ["price"]}},
        "calendars": CALENDARS,
        "rules": [
            {"name": f"r{number}", "when": when, "then": then, "enabled": enabled or number % 2 == 0}
            for number, (when, then, enabled) in enumerate(found)
            if asks(when)
        ],
    }
)
instants = st.integers(0, 3 * 48).map(lambda half: datetime(2026, 11, 22, tzinfo=UTC) + timedelta(minutes=30 * half))
messages = st.builds(
    Facts,
    network=st.sampled_from(["facebook", "x", "api"]),
    channel=st.sampled_from(["c1", "c2", "c3"]),
    kind=st.sampled_from(["dm", "comment", "review"]),
    text=st.one_of(
        st.none(),
        st.lists(st.sampled_from(SAID), max_size=5).map(" ".join),
        st.lists(st.sampled_from(SAID), max_size=3).map("".join),
    ),
    author_id=st.sampled_from([None, "7", "8"]),
    handle=st.sampled_from([None, "ann", "@ANN", "bob"]),
    followers=st.sampled_from([None, 0, 10, 500, 10_000]),
    verified=st.sampled_from([None, True, False]),
    media=st.sampled_from([(), ("image",), ("video", "image")]),
    ad=st.sampled_from([None, "ad1"]),
    at=st.one_of(
        st.none(),
        instants,
    ),
    classified=st.one_of(
        st.none(),
        st.builds(
            Classified,
            outcome=st.just("answered"),
            sentiment=st.sampled_from([None, "negative", "neutral"]),
            lane=st.sampled_from([None, "care", "product"]),
        ),
    ),
    first=st.sampled_from([None, True, False]),
    customer=st.one_of(
        st.none(),
        st.builds(
            Customer,
            attributes=st.one_of(st.just({}), st.sampled_from(PLANS).map(lambda plan: {"plan": plan})),
            tags=st.sampled_from([(), ("late",), ("vip", "late")]),
        ),
    ),
    shift=st.sampled_from([None, (), ("care",), ("agt_1", "care")]),
    shifted=st.sampled_from([(), ("owner-off",), ("owner-on", "team-on"), ("team-off",)]),
    surge=st.one_of(
        st.none(),
        st.builds(
            SurgeChange, change=st.sampled_from(["began", "ended"]), subject=st.sampled_from(["workspace", "tag:x"])
        ),
    ),
    surging=st.one_of(
        st.none(),
        st.builds(
            Surging,
            open=st.sampled_from([{}, {"workspace": "s1"}, {"channel:c1": "s2"}, {"lane:care": "s3", "tag:vip": "s4"}]),
        ),
    ),
    has_ticket=st.sampled_from([None, True, False]),
    ticket=st.one_of(
        st.none(),
        st.builds(
            Ticket,
            team=st.sampled_from(["care", "product"]),
            tags=st.sampled_from([(), ("late",), ("vip", "late")]),
            answered_at=st.one_of(st.none(), instants),
        ),
    ),
)


def asks(when) -> bool:
    """Whether something is asked: an empty list asks nothing in the short forms."""
    groups = [one for name in ("all", "any") for one in when.get(name, [])] + ([when["not"]] if "not" in when else [])
    return any(asked != [] for asked in when.values()) and all(map(asks, groups))
