"""What the benchmark stands on measures what it says: requests, answers, scripts and verdicts."""

import base64
import hashlib
import hmac
import itertools
import math
from collections import Counter

import pytest

from services.router.domain import compile as index
from services.router.domain.rules import parse
from shared.networks.facebook import Facebook
from shared.networks.port import Account, WebhookRequest
from tests.load import bodies, engines, lease, pusher, rulebook, system
from tests.load.client import Connection
from tests.load.report import Check, Part, percentile
from tests.load.sink import Endpoint

ACCOUNT = Account(channel_id="chn_1", external_id=bodies.PAGE, credentials={"app_secret": bodies.SECRET})
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Wire:
    """A transport that keeps what is written."""

    def __init__(self):
        self.written = []
        self.is_closed = False

    def write(self, data):
        self.written.append(data)

    def close(self):
        self.is_closed = True

    abort = close


def read_back(request):
    head, _, body = request.partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    headers = dict(line.lower().split(": ", 1) for line in lines[1:])
    return WebhookRequest(method=lines[0].split()[0], headers=headers, body=body)


def test_every_request_is_signed_for_its_own_body_and_holds_all_of_it():
    request = read_back(bodies.request("/webhooks/facebook/chn_1", bodies.one_message(41)))
    assert int(request.headers["content-length"]) == len(request.body)
    assert Facebook().verify(request, ACCOUNT, now=None)


def test_each_message_has_its_own_id_and_of_each_thousand_customers_two_hundred_are_new():
    items = [Facebook().parse(bodies.one_message(number)).items[0] for number in range(10_000)]
    assert [item.external_id for item in items[:2]] == ["m_000000000000", "m_000000000001"]
    assert len({item.external_id for item in items}) == 10_000
    writers = [item.author.external_id for item in items]
    assert set(Counter(writers).values()) == {1, 2, 3, 4, 5}
    for known in range(1_000, 10_000, 1_000):
        assert len(set(writers[known : known + 1_000]) - set(writers[:known])) == 200


def test_large_deliveries_are_distinct_have_two_kilobytes_and_three_messages_that_all_decoders_read():
    made = list(bodies.three_messages(50))
    assert len({hashlib.sha256(body).digest() for body in made}) == 50
    assert all(1_900 < len(body) < 2_200 for body in made)
    assert len(Facebook().parse(made[0]).items) == len(bodies.DECODE(made[0]).entry[0].messaging) == 3


@pytest.mark.parametrize("cuts", [[], [1], [17], [38, 39], [len(OK)], [len(OK) + 5]])
def test_answers_are_told_apart_wherever_the_network_cuts_them(cuts):
    answers = []
    connection = Connection(lambda _, data: answers.append(data[9:12]), lambda _: None)
    connection.connection_made(Wire())
    stream = OK + b"HTTP/1.1 503 No\r\ncontent-length: 0\r\n\r\n"
    ends = [0, *sorted({*cuts, len(OK)}), len(stream)]
    for start, end in itertools.pairwise(ends):
        connection.data_received(stream[start:end])
    assert answers == [b"200", b"503"]


@pytest.mark.parametrize("size", [1, 7, 50, 10_000])
def test_the_sink_counts_every_webhook_once_and_leaves_the_dead_ones_without_an_answer(size):
    taken, hung, wire = [], [], Wire()
    endpoint = Endpoint(taken.append, lambda: hung.append(1))
    endpoint.connection_made(wire)
    stream = (
        b"POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc" * 3 + b"POST /hang HTTP/1.1\r\nContent-Length: 1\r\n\r\nx"
    )
    for at in range(0, len(stream), size):
        endpoint.data_received(stream[at : at + size])
    assert (taken, len(hung), len(wire.written)) == ([b"abc"] * 3, 1, 3)


@pytest.mark.parametrize("size", [1, 7, 50])
async def test_a_bare_client_sends_the_next_signed_request_when_the_last_one_is_answered(size):
    taken, wire = [], Wire()
    client, endpoint = pusher.Bare(iter(range(3)), 80), Endpoint(taken.append, None)
    client.connection_made(wire)
    endpoint.connection_made(Wire())
    for sent in range(1, 4):
        assert (len(wire.written), client.over.done()) == (sent, False)
        endpoint.data_received(wire.written[-1])
        for at in range(0, len(OK), size):
            client.data_received(OK[at : at + size])
    assert (len(wire.written), client.over.done(), wire.is_closed) == (3, True, True)
    assert taken == [pusher.BODY] * 3
    for number, headers in enumerate(read_back(request).headers for request in wire.written):
        signed = f"evt_{number}.{headers['webhook-timestamp']}.".encode() + pusher.BODY
        digest = hmac.digest(pusher.KEY, signed, hashlib.sha256)
        assert headers["webhook-id"] == f"evt_{number}"
        assert headers["webhook-signature"] == "v1," + base64.b64encode(digest).decode().lower()


@pytest.mark.parametrize("answer", [b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n", b"HTTP/1.1 200 OK\r\n"])
async def test_a_bare_client_that_is_refused_or_cut_off_says_so(answer):
    client, wire = pusher.Bare(iter(range(3)), 80), Wire()
    client.connection_made(wire)
    client.data_received(answer)
    client.connection_lost(None)
    with pytest.raises(ConnectionError):
        await client.over
    assert len(wire.written) == 1


def test_pgbench_gets_the_statement_itself_with_variables_for_its_parameters():
    script = lease.as_script(
        "UPDATE t SET a = $4\n WHERE id = $1 AND b = $2 AND c = $3::bigint", 9, in_transaction=True
    )
    assert script.splitlines() == [
        "\\set ticket random(1, 9)",
        "BEGIN;",
        "UPDATE t SET a = :active WHERE id = :ticket AND b = :holder AND c = :fence::bigint;",
        "COMMIT;",
    ]


@pytest.mark.parametrize("told", [rulebook.SPARSE, rulebook.DENSE])
def test_the_loop_over_the_rules_and_the_index_decide_the_same(told):
    world = rulebook.World(rulebook.SEED, told=told)
    document = world.document(300)
    ruleset, loop = index.compile_rules(parse(document)), engines.Loop(document["rules"])
    decided = [(ruleset.decide(message.facts()).rule, loop.decide(message.facts())) for message in world.messages(200)]
    assert all(ours == usual for ours, usual in decided)
    assert len({ours for ours, _ in decided}) > 5


@pytest.mark.parametrize("make", [engines.by_rule_engine, engines.by_zen])
def test_the_engines_find_what_the_loop_finds_or_parts_of_words_before_it(make):
    world = rulebook.World(rulebook.SEED, told=rulebook.DENSE)
    rules = [rule for rule in world.document(150)["rules"] if "none" not in rule["when"].get("keywords", {})]
    order = {name: place for place, name in enumerate([*(rule["name"] for rule in rules), index.FALLBACK])}
    engine, loop = make(rules), engines.Loop(rules)
    decided = [(engine.decide(message.facts()), loop.decide(message.facts())) for message in world.messages(60)]
    assert all(order[theirs] <= order[usual] for theirs, usual in decided)
    assert sum(theirs == usual != index.FALLBACK for theirs, usual in decided) > 10


def test_the_rules_of_the_journey_send_to_teams_that_exist():
    document = rulebook.World(rulebook.SEED, told=rulebook.SPARSE).document(system.RULES)
    assert {rule["then"]["team"] for rule in document["rules"]} <= set(system.TEAMS)


@pytest.mark.parametrize(
    ("value", "target", "at_least", "is_met"),
    [
        (2.0, 2.0, True, True),
        (1.9, 2.0, True, False),
        (1.9, 2.0, False, True),
        (None, 2.0, False, False),
        (1.0, None, True, None),
    ],
)
def test_a_target_is_met_or_missed_and_what_was_not_measured_is_not_met(value, target, at_least, is_met):
    check = Check(what="x", value=value, target=target, at_least=at_least)
    assert check.is_met is is_met
    assert Part(name="p", title="P", checks=[check]).document()["checks"][0]["is_met"] is is_met


def test_percentiles_are_values_that_were_measured():
    assert [percentile([1.0, 2.0, 3.0, 4.0], share) for share in (0.0, 0.5, 0.99, 1.0)] == [1.0, 3.0, 4.0, 4.0]
    assert math.isnan(percentile([], 0.5))
