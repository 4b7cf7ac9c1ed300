"""Whatever is sent, and however the network cuts it: a hook takes what is usual, the mount all else, in order."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest
from starlette.requests import Request
from starlette.responses import Response
from structlog.testing import capture_logs

from shared.errors import Unavailable
from shared.host import inert_runtime
from shared.web import hooks
from tests.support import api
from tests.support.served import Served, served

PATH = "/hooks/a"
LIVE = b"GET /livez HTTP/1.1\r\nhost: x\r\n\r\n"


class Shop:
    """A hook that takes bodies which begin with `yes`, and the mount behind it, which says what it got."""

    def __init__(self):
        self.is_late = False
        self.taken = []
        self.waiting = []
        self.asked = asyncio.Event()
        self.mounted = asyncio.Event()

    def take(self, target, headers, body, answer):
        if body.startswith(b"bug"):
            raise ValueError("bug")
        if not body.startswith(b"yes"):
            return False
        self.taken.append((target, dict(headers), body))
        self.asked.set()
        if self.is_late:
            self.waiting.append(answer)
        else:
            answer(YES)
        return True

    async def mount(self, scope, receive, send):
        self.mounted.set()
        request = Request(scope, receive)
        body = await request.body()
        await Response(b"%s %d %s" % (request.method.encode(), len(body), body[:20]))(scope, receive, send)


YES = Response(b"taken", headers={"x-content-type-options": "nosniff"})


@pytest.fixture
def shop():
    return Shop()


@asynccontextmanager
async def opened(shop, **options) -> AsyncIterator[Served]:
    stub = api.Stub(mounts={"/hooks/": shop.mount, "/other/": shop.mount}, hooks={"/hooks/": shop.take})
    async with served(api.new_app(inert_runtime("demo").database, stub), **options) as there:
        yield there


@pytest.fixture
async def there(shop):
    async with opened(shop) as there:
        yield there


def post(body=b"yes", *, path=PATH, version="1.1", **headers):
    fields = {"host": "x", "content-length": len(body), **{name.replace("_", "-"): headers[name] for name in headers}}
    lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items() if value is not None)
    return f"POST {path} HTTP/{version}\r\n{lines}\r\n".encode() + body


def chunked(*chunks):
    body = b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in (*chunks, b""))
    return post(b"", content_length=None, transfer_encoding="chunked") + body


async def test_a_usual_request_is_answered_by_the_hook_alone(shop, there):
    [answer] = await there.asked(post(b"yes, please", X_Name="Zoë"))

    assert (answer.status, answer.body) == (200, b"taken")
    assert {"date", "x-content-type-options", "content-length"} <= answer.headers.keys()
    [(target, headers, body)] = shop.taken
    assert (target, body) == (PATH.encode(), b"yes, please")
    assert headers["x-name"].encode("latin-1").decode() == "Zoë"
    assert not shop.mounted.is_set()


@pytest.mark.parametrize(
    ("request_", "expected"),
    [(post(b"yes"), b"taken"), (post(b"no"), b"POST 2 no"), (chunked(b"y", b"es"), b"POST 3 yes"), (LIVE, b"")],
    ids=["taken", "left", "chunked", "api"],
)
async def test_a_request_may_be_cut_anywhere(there, request_, expected):
    async with there.line() as line:
        for cut in range(1, len(request_)):
            await line.send(request_[:cut], request_[cut:])
            answer = await line.read()
            assert (answer.status, answer.body if expected else b"") == (200, expected), cut


async def test_a_request_may_come_byte_by_byte(shop, there):
    parts = [bytes([byte]) for byte in post(b"yes") + post(b"no") + post(b"yes")]

    answers = await there.asked(*parts, answers=3)

    assert [answer.body for answer in answers] == [b"taken", b"POST 2 no", b"taken"]


async def test_pipelined_requests_are_answered_in_order_whoever_answers_them(shop, there):
    shop.is_late = True
    async with there.line() as line:
        await line.send(post(b"yes") + LIVE + post(b"yes again") + b"GET /hooks/a HTTP/1.1\r\nhost: x\r\n\r\n" + LIVE)
        assert len(shop.waiting) == 1
        assert not shop.mounted.is_set()
        shop.waiting[0](YES)
        answers = [await line.read() for _ in range(5)]
        shop.is_late = False
        await line.send(post(b"yes"))
        after = await line.read()

    assert [answer.status for answer in answers] == [200] * 5
    assert [answer.body for answer in answers[::2]][:2] == [b"taken", b"POST 9 yes again"]
    assert answers[3].body == b"GET 0 "
    assert after.body == b"taken"


async def test_a_body_that_a_hook_took_is_not_the_next_requests(there):
    async with there.line() as line:
        for request, expected in ((post(b"yes, please"), b"taken"), (post(b"own", path="/other/a"), b"POST 3 own")):
            await line.send(request)
            assert (await line.read()).body == expected


async def test_many_usual_requests_in_one_packet_are_each_taken(shop, there):
    answers = await there.asked(post(b"yes") * 50, answers=50)

    assert {answer.body for answer in answers} == {b"taken"}
    assert len(shop.taken) == 50


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        (chunked(b"yes", b"!" * 70_000), b"POST 70003 yes!"),
        (post(b"yes" * 30_000), b"POST 90000 yes"),
        (post(b"yes", connection="close"), b"POST 3 yes"),
        (post(b"yes", version="1.0"), b"POST 3 yes"),
        (post(b"yes", version="1.0", connection="keep-alive"), b"POST 3 yes"),
        (post(b"yes", connection="upgrade", upgrade="websocket"), b"POST 0 "),
    ],
    ids=["chunked", "long", "close", "HTTP/1.0", "HTTP/1.0 kept", "upgrade"],
)
async def test_what_is_unusual_goes_the_ordinary_way_with_all_its_bytes(shop, there, request_, expected):
    [answer] = await there.asked(request_)

    assert answer.body.startswith(expected)
    assert shop.mounted.is_set()
    assert not shop.taken


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "PUT", "DELETE"])
async def test_other_methods_are_the_mounts(shop, there, method):
    request = post(b"yes").replace(b"POST", method.encode(), 1)
    async with there.line() as line:
        await line.send(request)
        if method == "HEAD":
            assert not await line.is_closed()
        else:
            assert (await line.read()).body == f"{method} 3 yes".encode()
    assert not shop.taken


async def test_whoever_asks_first_is_told_to_go_on(there):
    async with there.line() as line:
        await line.send(post(b"yes", expect="100-continue")[:-3])
        go_on = await line.read()
        await line.send(b"yes")
        answer = await line.read()

    assert (go_on.status, answer.status, answer.body) == (100, 200, b"POST 3 yes")


async def test_a_slow_body_is_left_to_whoever_waits_for_those(shop, there):
    async with there.line() as line:
        await line.send(post(b"yes")[:-1])
        await shop.mounted.wait()
        await line.send(b"s")
        slow = await line.read()
        await line.send(post(b"yes"))
        quick = await line.read()

    assert (slow.body, quick.body) == (b"POST 3 yes", b"taken")


@pytest.mark.parametrize(
    "garbage",
    [
        b"\x00\x01\r\n\r\n",
        b"POST /hooks/a HTTP/1.1\r\nno colon\r\n\r\n",
        post(content_length="x"),
        post(path="/hooks/ÿ")[:-1],
        post(transfer_encoding="chunked"),
    ],
)
async def test_what_is_not_http_is_refused_and_the_connection_closed(there, garbage):
    async with there.line() as line:
        await line.send(garbage)
        assert (await line.read()).status == 400
        assert await line.is_closed()


async def test_a_bug_in_a_hook_is_logged_and_the_request_answered(there):
    with capture_logs() as logs:
        answers = await there.asked(post(b"bug") + post(b"yes"), answers=2)

    # The second one waits behind a request that is running: that is the ordinary way.
    assert [answer.body for answer in answers] == [b"POST 3 bug", b"POST 3 yes"]
    assert [entry["event"] for entry in logs] == ["hook_failed"]


async def test_an_error_that_is_told_later_is_a_problem(shop, there):
    shop.is_late = True
    async with there.line() as line:
        await line.send(post())
        shop.waiting[0](Unavailable("the inbox is away", headers={"Retry-After": "5"}))
        refused = await line.read()
        shop.waiting[0](YES)
        await line.send(LIVE)
        after = await line.read()

    assert (refused.status, refused.headers["retry-after"]) == (503, "5")
    assert refused.headers["content-type"] == "application/problem+json"
    assert b'"code":"unavailable"' in refused.body
    # What is told twice is said once.
    assert after.headers["content-type"] == "application/json"


async def test_whoever_has_gone_is_not_answered(shop, there):
    shop.is_late = True
    async with there.line() as line:
        await line.send(post())
        line.close()
        await line.send(b"")
    with capture_logs() as logs:
        shop.waiting[0](YES)
    [answer] = await there.asked(LIVE)

    assert answer.status == 200
    assert logs == []


async def test_a_stop_waits_for_the_answer_of_a_hook_and_for_the_rest_of_a_body(shop):
    shop.is_late = True
    async with opened(shop) as there, there.line() as waiting, there.line() as half, there.line() as idle:
        await waiting.send(post())
        await half.send(post(b"yes")[:-1])
        await idle.send(LIVE)
        await idle.read()
        there.stop.set()
        assert await idle.is_closed()
        await half.send(b"s")
        rest = await half.read()
        assert not there.task.done()
        shop.waiting[0](YES)
        answer = await waiting.read()
        assert await waiting.is_closed()
        assert await half.is_closed()
        await there.task

    assert (answer.body, answer.headers["connection"]) == (b"taken", "close")
    assert (rest.body, rest.headers["connection"]) == (b"POST 3 yes", "close")


async def test_silence_ends_a_connection_but_not_one_that_waits_for_an_answer(shop):
    shop.is_late = True
    second = timedelta(seconds=1)
    async with opened(shop, keep_alive=second) as there, there.line() as waiting:
        await waiting.send(post())
        async with there.line() as mute, there.line() as half, there.line() as used:
            await half.send(post()[:20])
            await used.send(LIVE)
            await used.read()
            for line in (mute, half, used):
                assert await line.is_closed()
        shop.waiting[0](YES)
        answer = await waiting.read()
        assert await waiting.is_closed()

    assert answer.body == b"taken"


def test_what_is_kept_is_bounded():
    kept = hooks.Hooks({}, refusal=lambda _: YES)

    read = [kept.read([(f"X-{number}".encode(), b"1")]) for number in range(3 * hooks._MOST_NAMES)]

    assert [list(headers) for headers in read] == [[f"x-{number}"] for number in range(3 * hooks._MOST_NAMES)]
    assert len(kept._names) == hooks._MOST_NAMES


def test_the_longest_prefix_wins_and_others_have_no_hook():
    one, other = Shop().take, Shop().take
    kept = hooks.Hooks({"/a/": one, "/a/b/": other}, refusal=lambda _: YES)

    assert [kept.find(target) for target in (b"/a/x", b"/a/b/x", b"/b", b"http://x/a/")] == [one, other, None, None]
