"""A simulated Facebook behind the egress port: it does what it is sent, loses answers, and tells all it knows twice."""

import asyncio
import contextvars
import hashlib
import hmac
import json
import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final, Protocol
from urllib.parse import parse_qsl, urlsplit

from shared.egress import NotSent, OutcomeUnknown, Response
from tests.simulation.loop import EPOCH, VirtualLoop
from tests.simulation.process import Answer, Lost, Process

PAGE: Final = "1067280970047460"
POST: Final = f"{PAGE}_900"
SECRETS: Final = {"app_secret": "s3cret", "verify_token": "vt", "access_token": "t"}
URL: Final = "http://graph.test"
TIMEOUT: Final = 5.0
_NOBODY: Final = contextvars.Context()


class World(Protocol):
    """What the network needs of what it lives in."""

    loop: VirtualLoop

    def process(self) -> Process | None: ...
    def tell(self, line: str) -> None: ...
    def check_leaving(self, text: str) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """A request on its way."""

    process: str
    method: str
    url: str
    body: bytes
    left_at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """A reply that the network shows from then on."""

    left_at: float
    """When its process sent it, which is what counts: it may have been under way for long."""
    at: float
    text: str
    target: str
    external_id: str
    metadata: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """Something that was done to an item."""

    item: str
    operation: str


@dataclass(slots=True, kw_only=True)
class Network:
    """One Page. `is_calm`: from then on it does what it should."""

    world: World
    chance: random.Random
    webhook_path: str
    is_calm: bool = False
    taken: list[Taken] = field(default_factory=list)
    done: list[Done] = field(default_factory=list)
    """What was done to items, in the order in which it happened."""
    gone: set[str] = field(default_factory=set)
    """Items of which it said, asked to delete them, that they are not there."""
    said: dict[str, str] = field(default_factory=dict)
    """What it told of customers and was acknowledged: item to author."""
    natives: set[str] = field(default_factory=set)
    """Items that the Page's staff wrote in the network's own app."""
    under_way: int = 0
    _numbers: int = 0

    # -- from Baton ---------------------------------------------------------------------------------------------

    def of(self, process: Process) -> "Egress":
        """The way out of one process."""
        return Egress(self, process)

    def arrive(self, process: Process, method: str, url: str, body: bytes, answer: "asyncio.Future[Any]") -> None:
        """A request is on its way; what becomes of it does not depend on who sent it any more."""
        if method == "POST" and body:
            message = json.loads(body)["message"]
            self.world.check_leaving(message if isinstance(message, str) else message["text"])
        roll = 1.0 if self.is_calm else self.chance.random()
        if method == "POST" and roll < 0.06:
            answer.set_exception(NotSent("graph.test: the connection was refused"))
            return
        late = self.chance.random() < 0.25 and not self.is_calm
        delay = self.chance.uniform(1.0, 4.0) if late else self.chance.uniform(0.0, 0.1)
        left_at = self.world.loop.time()
        sent = Sent(process=process.name, method=method, url=url, body=body, left_at=left_at)
        self.world.loop.call_later(delay, self._take, sent, answer, context=_NOBODY)

    def _take(self, sent: "Sent", answer: "asyncio.Future[Any]") -> None:
        parts = urlsplit(sent.url)
        target, _, edge = parts.path.strip("/").rpartition("/")
        if sent.method == "GET":
            self._answer(answer, 200, self._listing(target, edge, dict(parse_qsl(parts.query))))
            return
        # There is less to do to items than to say: so more of it goes wrong.
        roll = 1.0 if self.is_calm else self.chance.random() * (1.0 if sent.body else 0.4)
        if roll < 0.05:
            self._answer(answer, 429, {"error": {"code": 613, "message": "slower"}})
            return
        if roll < 0.1:
            if sent.method == "DELETE":
                self.gone.add(target or edge)
            self._answer(answer, 400, {"error": {"code": 100, "error_subcode": 33, "message": "unsupported"}})
            return
        if roll < 0.14:
            self._answer(answer, 500, {"error": {"code": 2, "message": "later"}})
            return
        shown, echo = self._carry_out(sent) if not sent.body else self._keep(sent, target, edge)
        before = self.chance.random() < 0.3
        wait = 0.0 if before else self.chance.choice((0.05, 0.5, 3.0))
        if echo is not None:
            self.world.loop.call_later(wait, self.post, echo, context=_NOBODY)
        if roll < 0.26:
            # It had its effect, and nobody will hear so.
            if self.chance.random() < 0.5:
                self._answer(answer, 500, {"error": {"code": 1, "message": "an unknown error"}})
            return
        self._answer(answer, 200, shown)

    def _answer(self, answer: "asyncio.Future[Any]", status: int, content: Any) -> None:
        headers = {"content-type": "application/json", **({"retry-after": "1"} if status == 429 else {})}
        response = Response(status=status, headers=headers, body=json.dumps(content).encode())

        def arrive() -> None:
            if not answer.done():
                answer.set_result(response)

        self.world.loop.call_later(self.chance.choice((0.0, 0.02, 0.3)), arrive, context=_NOBODY)

    def _keep(self, sent: "Sent", target: str, edge: str) -> tuple[Any, Any]:
        taken, shown = self._taken(sent, target, edge)
        self.taken.append(taken)
        self.world.tell(f"network took {taken.text!r} as {taken.external_id} from {sent.process}")
        return shown, self._echo(taken, edge)

    def _carry_out(self, sent: "Sent") -> tuple[Any, Any]:
        parts = urlsplit(sent.url)
        item, _, edge = parts.path.strip("/").partition("/")
        hides = "hide" if parts.query == "is_hidden=true" else "unhide"
        operation = "delete" if sent.method == "DELETE" else "like" if edge == "likes" else hides
        self.done.append(Done(item=item, operation=operation))
        self.world.tell(f"network does {operation} to {item} for {sent.process}")
        verb = {"delete": "remove", "like": None}.get(operation, operation)
        return {"success": True}, self._changed(item, verb) if verb else None

    def _changed(self, item: str, verb: str) -> Any:
        seconds = int((EPOCH + timedelta(seconds=self.world.loop.time())).timestamp())
        value = {"item": "comment", "verb": verb, "comment_id": item, "post_id": POST, "created_time": seconds}
        return {
            "object": "page",
            "entry": [{"id": PAGE, "time": seconds, "changes": [{"field": "feed", "value": value}]}],
        }

    def _taken(self, sent: "Sent", target: str, edge: str) -> tuple[Taken, Any]:
        at, payload = self.world.loop.time(), json.loads(sent.body)
        if edge == "comments":
            item, text = self._name("r"), payload["message"]
            taken = Taken(left_at=sent.left_at, at=at, text=text, target=target, external_id=item, metadata=None)
            return taken, {"id": item}
        item, message = self._name("m_r"), payload["message"]
        taken = Taken(
            left_at=sent.left_at,
            at=at,
            text=message["text"],
            target=next(iter(payload["recipient"].values())),
            external_id=item,
            metadata=message.get("metadata"),
        )
        return taken, {"recipient_id": taken.target, "message_id": item}

    def _listing(self, target: str, edge: str, query: Mapping[str, str]) -> Any:
        wanted = target if edge == "comments" else query.get("user_id")
        listed = [
            {
                "id": one.external_id,
                "message": one.text,
                "from": {"id": PAGE},
                "created_time": (EPOCH + timedelta(seconds=one.at)).strftime("%Y-%m-%dT%H:%M:%S+0000"),
            }
            for one in reversed(self.taken)
            if one.target == wanted
        ]
        return {"data": listed} if edge == "comments" else {"data": [{"messages": {"data": listed}}]}

    # -- to Baton -----------------------------------------------------------------------------------------------

    def comment(self, author: str, text: str) -> str:
        """A customer's comment."""
        item = self._name("c")
        self.post(self._commented(item, POST, author, text), about=(item, author))
        return item

    def direct(self, author: str, text: str) -> str:
        """A customer's direct message."""
        item = self._name("m_c")
        parties = {"sender": {"id": author}, "recipient": {"id": PAGE}}
        self.post(self._messaged(parties, {"mid": item, "text": text}), about=(item, author))
        return item

    def native(self, item: str, author: str, text: str) -> None:
        """The Page's staff answers a customer's item in the network's own app."""
        named = self._name("m_n" if item.startswith("m_") else "n")
        self.natives.add(named)
        self.world.tell(f"native answer {named} to {item}")
        if item.startswith("m_"):
            parties = {"sender": {"id": PAGE}, "recipient": {"id": author}}
            self.post(self._messaged(parties, {"mid": named, "is_echo": True, "app_id": 7, "text": text}))
        else:
            self.post(self._commented(named, item, PAGE, text))

    def post(self, payload: Any, *, about: tuple[str, str] | None = None) -> None:
        """Sends a webhook until it is acknowledged, now and then once more."""
        raw = json.dumps(payload).encode()
        copies = 2 if self.chance.random() < 0.15 and not self.is_calm else 1
        self.under_way += 1
        for copy in range(copies):
            first = copy == 0
            wait = 0.0 if first else self.chance.uniform(0.0, 3.0)
            self.world.loop.call_later(wait, self._try, raw, 0, about, first, context=_NOBODY)

    def _try(self, raw: bytes, attempt: int, about: tuple[str, str] | None, first: bool) -> None:  # noqa: FBT001
        process = self.world.process()
        mac = hmac.new(SECRETS["app_secret"].encode(), raw, hashlib.sha256).hexdigest()
        headers = {"x-hub-signature-256": f"sha256={mac}"}

        def again() -> None:
            wait = min(0.2 * 2**attempt, 2.0)
            self.world.loop.call_later(wait, self._try, raw, attempt + 1, about, first, context=_NOBODY)

        if process is None:
            again()
            return
        call = process.call("POST", self.webhook_path, headers, raw)
        timer = self.world.loop.call_later(TIMEOUT, _give_up, call, context=_NOBODY)

        def heard(call: "asyncio.Future[Answer]") -> None:
            timer.cancel()
            if call.exception() is not None or call.result().status != 200:
                again()
                return
            if about:
                self.said[about[0]] = about[1]
            if first:
                self.under_way -= 1

        call.add_done_callback(heard, context=_NOBODY)

    def _echo(self, taken: Taken, edge: str) -> Any:
        if edge == "comments":
            return self._commented(taken.external_id, taken.target, PAGE, taken.text)
        message: dict[str, Any] = {"mid": taken.external_id, "is_echo": True, "app_id": 1, "text": taken.text}
        if taken.metadata:
            message["metadata"] = taken.metadata
        return self._messaged({"sender": {"id": PAGE}, "recipient": {"id": taken.target}}, message)

    def _commented(self, item: str, parent: str, author: str, text: str) -> Any:
        seconds = int((EPOCH + timedelta(seconds=self.world.loop.time())).timestamp())
        value = {
            "item": "comment",
            "verb": "add",
            "comment_id": item,
            "parent_id": parent,
            "post_id": POST,
            "from": {"id": author, "name": f"Name {author}"},
            "message": text,
            "created_time": seconds,
        }
        return {
            "object": "page",
            "entry": [{"id": PAGE, "time": seconds, "changes": [{"field": "feed", "value": value}]}],
        }

    def _messaged(self, parties: Mapping[str, Any], message: Mapping[str, Any]) -> Any:
        now = int((EPOCH + timedelta(seconds=self.world.loop.time())).timestamp() * 1000)
        event = {**parties, "timestamp": now, "message": message}
        return {"object": "page", "entry": [{"id": PAGE, "time": now, "messaging": [event]}]}

    def _name(self, kind: str) -> str:
        self._numbers += 1
        return f"{kind}{self._numbers:04}" if kind.startswith("m_") else f"900_{kind}{self._numbers:04}"


class Egress:
    """In place of the product's: requests end as Response, NotSent or OutcomeUnknown, in time."""

    def __init__(self, network: Network, process: Process) -> None:
        self._network = network
        self._process = process

    def check_url(self, url: str) -> None:
        """Every address will do."""

    async def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],
        body: bytes = b"",
        timeout: timedelta,  # noqa: ASYNC109 - the port's own
    ) -> Response:
        """One request."""
        del headers
        answer: asyncio.Future[Response] = asyncio.get_running_loop().create_future()
        self._network.arrive(self._process, method, url, body, answer)
        try:
            async with asyncio.timeout(timeout.total_seconds()):
                return await answer
        except TimeoutError:
            raise OutcomeUnknown("graph.test: no answer in time after the request was handed over") from None


def _give_up(call: "asyncio.Future[Answer]") -> None:
    if not call.done():
        call.set_exception(Lost("no answer in time"))
