"""What a classifier answers is read for what it is worth, and never trusted."""

import json

import pytest

from services.router.domain.classified import Classified, Unusable, afterwards, question, read

GOOD = {"sentiment": "negative", "urgency": "high", "lane": "care"}


def test_an_answer_says_something_about_each_text():
    body = json.dumps({"results": [GOOD, {"sentiment": "neutral"}], "model": "m"}).encode()
    assert read(body, count=2) == [GOOD, {"sentiment": "neutral"}]
    assert json.loads(question(["a", "b"])) == {"texts": ["a", "b"]}


@pytest.mark.parametrize(
    "odd",
    [None, 7, [], "negative", {}, {"sentiment": "furious"}, {"sentiment": None}, {"sentiment": ["negative"]}, {"x": 1}],
)
def test_what_nobody_knows_is_as_good_as_not_said(odd):
    assert read(json.dumps({"results": [odd, GOOD]}).encode(), count=2) == [{}, GOOD]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b"<html>",
        b"\xff\xfe",
        b'{"results": {}}',
        b'{"results": []}',
        b'{"results": [{}, {}]}',
        b'{"results": ' + b"[" * 5_000,
    ],
)
def test_an_answer_that_is_none_is_unusable(body):
    with pytest.raises(Unusable):
        read(body, count=1)


def test_the_next_message_with_a_text_waits_for_nothing():
    answered = Classified(outcome="answered", milliseconds=12.0, sentiment="negative")
    remembered = Classified(outcome="remembered", sentiment="negative")
    assert [afterwards(one) for one in (answered, remembered)] == [remembered, remembered]
    late = Classified(outcome="late", milliseconds=300.0)
    assert afterwards(late) == Classified(outcome="resting")
