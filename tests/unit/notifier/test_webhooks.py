"""What is signed, what an answer means, when the next attempt is due, and how much an endpoint gets."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks.webhooks import Webhook

from services.notifier.domain import webhooks
from services.notifier.domain.circuit import LONGEST_PROBE, Circuit, Limits
from services.notifier.domain.progress import Progress
from services.notifier.domain.webhooks import Verdict

LIMITS = Limits(at_once=8, open_after=3, probe=1.0)


@given(body=st.text(min_size=1), secret=st.binary(min_size=24, max_size=64), other=st.binary(min_size=24, max_size=64))
def test_the_reference_implementation_accepts_either_of_two_keys(body, secret, other):
    now = datetime.now(UTC)  # noqa: TID251 - the verifier looks at the real time
    keys = [webhooks.key_of(webhooks.new_secret(each)) for each in (other, secret)]
    headers = webhooks.headers("evt_1", body.encode("utf-8", "replace"), at=now, keys=keys)
    for each in (secret, other):
        Webhook(webhooks.new_secret(each)).verify(body.encode("utf-8", "replace"), headers, json_parse=False)


@pytest.mark.parametrize("secret", ["", "whsec", "MTIz", "whsec_?", "whsk_MTIz"])
def test_what_is_no_secret_is_refused(secret):
    with pytest.raises(ValueError, match="secret"):
        webhooks.key_of(secret)


TOO_LONG = {"retry-after": "999999999999"}
DATED = {"retry-after": "Sun, 22 Nov 2026 09:01:00 GMT", "date": "Sun, 22 Nov 2026 09:00:00 GMT"}


@pytest.mark.parametrize(
    ("status", "headers", "verdict"),
    [
        (200, {}, Verdict(is_delivered=True)),
        (299, {"retry-after": "9"}, Verdict(is_delivered=True)),
        (302, {}, Verdict(is_delivered=False)),
        (400, {"retry-after": "9"}, Verdict(is_delivered=False, retry_after=9)),
        (410, {}, Verdict(is_delivered=False, is_gone=True)),
        (429, {"retry-after": "9"}, Verdict(is_delivered=False, retry_after=9, pause=9)),
        (503, TOO_LONG, Verdict(is_delivered=False, retry_after=86400, pause=86400)),
        (503, DATED, Verdict(is_delivered=False, retry_after=60, pause=60)),
        (503, {"retry-after": DATED["retry-after"]}, Verdict(is_delivered=False)),
        (503, {"retry-after": "soon"}, Verdict(is_delivered=False)),
        (429, {"retry-after": "-5"}, Verdict(is_delivered=False)),
    ],
)
def test_an_answer_means(status, headers, verdict):
    assert webhooks.judge(status, headers) == verdict


def test_waits_follow_the_schedule_varied_by_a_fifth_and_end():
    waits = [webhooks.next_wait(attempts, [10, 100], retry_after=0, chance=0.5) for attempts in (1, 2, 3)]
    assert waits == [pytest.approx(10), pytest.approx(100), None]
    assert webhooks.next_wait(1, [10], retry_after=0, chance=0.0) == pytest.approx(8)
    assert webhooks.next_wait(1, [10], retry_after=0, chance=1.0) == pytest.approx(12)
    assert webhooks.next_wait(1, [10], retry_after=99, chance=0.0) == 99


def test_answers_are_shown_as_text_that_can_be_kept():
    assert webhooks.shown(b"ok\x00\xff") == "ok��"
    assert len(webhooks.shown(b"x" * 9000)) == webhooks.SHOWN


def fill(circuit, now=0.0):
    count = 0
    while circuit.wait(now) == 0:
        circuit.begin()
        count += 1
    return count


def test_a_new_endpoint_gets_little_and_more_while_it_answers():
    circuit = Circuit(LIMITS)
    assert fill(circuit) == 4
    for _ in range(20):
        circuit.succeeded()
        fill(circuit)
    assert circuit._sending == LIMITS.at_once


def test_a_failing_endpoint_gets_single_probes_ever_further_apart():
    circuit = Circuit(LIMITS)
    waits, now = [], 0.0
    for _ in range(14):
        circuit.begin()
        assert circuit.wait(now) is None or not circuit.is_open
        circuit.failed(now)
        wait = circuit.wait(now)
        waits.append(wait)
        now += wait
    assert waits[:2] == [0, 0]
    assert waits[2:5] == [pytest.approx(1), pytest.approx(2), pytest.approx(4)]
    assert waits[-1] == pytest.approx(LONGEST_PROBE)
    circuit.begin()
    assert circuit.wait(now) is None
    circuit.succeeded()
    assert not circuit.is_open
    assert circuit.wait(now) == 0


def test_a_pause_that_was_asked_for_is_kept_even_while_healthy():
    circuit = Circuit(LIMITS)
    circuit.begin()
    circuit.failed(10.0, pause=30.0)
    assert circuit.wait(10.0) == 30.0
    assert circuit.wait(40.0) == 0


def test_what_was_known_to_fail_before_a_restart_is_probed_first():
    circuit = Circuit(LIMITS, failures=7)
    assert fill(circuit) == 1


def test_an_abandoned_push_gives_its_place_back():
    circuit = Circuit(LIMITS)
    fill(circuit)
    circuit.abandoned()
    assert circuit.wait(0.0) == 0


@given(st.data())
def test_the_cursor_is_the_last_number_before_which_everything_is_done(data):
    progress = Progress(0)
    under_way: set[int] = set()
    for number in range(1, data.draw(st.integers(1, 30)) + 1):
        if data.draw(st.booleans()):
            progress.begin(number)
            under_way.add(number)
        else:
            progress.skip(number)
        while under_way and data.draw(st.booleans()):
            ended = data.draw(st.sampled_from(sorted(under_way)))
            under_way.remove(ended)
            progress.end(ended)
        assert progress.cursor == (min(under_way) - 1 if under_way else number)
