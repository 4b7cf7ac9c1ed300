"""Whether this process lives, whether it is ready, and what it measures."""

import asyncio
import ipaddress
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from fastapi import APIRouter, Request
from starlette.responses import Response

from shared.clock import Clock
from shared.errors import Forbidden, Retryable, Unavailable
from shared.telemetry.metrics import Metrics
from shared.web.bodies import encode
from shared.web.problems import problems

REMEMBER_SECONDS: Final = 1.0
CHECK_SECONDS: Final = 2.0

Check = Callable[[], Awaitable[str | None]]
"""What is not ready, in words that may be public; None when all is well. Retryable counts as not ready."""


class NotReady(Unavailable):
    """This process should get no requests now; `waiting_for` says why."""

    code = "not-ready"
    title = "Not ready"


class Health:
    """The checks of one process, run at most once a second however many ask."""

    def __init__(self, clock: Clock, checks: Mapping[str, Check] | None = None) -> None:
        self._clock = clock
        self._checks = dict(checks or {})
        self._lock = asyncio.Lock()
        self._known_until = 0.0
        self._waiting_for: dict[str, str] = {}
        self._is_leaving = False

    def add(self, name: str, check: Check) -> None:
        """One more thing that must be ready."""
        self._checks[name] = check

    def leave(self) -> None:
        """From now on this process is not ready: it is about to stop."""
        self._is_leaving = True

    async def waiting_for(self) -> dict[str, str]:
        """What is not ready, by name of its check; empty when everything is."""
        if self._is_leaving:
            return {"process": "is stopping"}
        async with self._lock:
            if self._clock.elapsed() >= self._known_until:
                found = {name: await _result(check) for name, check in self._checks.items()}
                self._waiting_for = {name: reason for name, reason in found.items() if reason}
                self._known_until = self._clock.elapsed() + REMEMBER_SECONDS
        return self._waiting_for


async def _result(check: Check) -> str | None:
    try:
        async with asyncio.timeout(CHECK_SECONDS):
            return await check()
    except (Retryable, TimeoutError):
        return "does not answer"


def router(health: Health, metrics: Metrics, *, metrics_public: bool) -> APIRouter:
    """The paths that probes and scrapers ask for, without a key."""
    routes = APIRouter(tags=["operations"])

    @routes.get("/livez", operation_id="isLive", summary="Whether the process lives")
    async def is_live() -> Response:
        return _json({"status": "live"})

    @routes.get("/readyz", operation_id="isReady", summary="Whether the process is ready", responses=problems(503))
    async def is_ready() -> Response:
        waiting_for = await health.waiting_for()
        if waiting_for:
            raise NotReady(f"waiting for {', '.join(sorted(waiting_for))}", waiting_for=waiting_for)
        return _json({"status": "ready"})

    @routes.get("/metrics", operation_id="getMetrics", summary="Metrics for Prometheus", responses=problems(403))
    async def get_metrics(request: Request) -> Response:
        if not metrics_public and not _is_near(request):
            raise Forbidden("metrics are served to loopback only: see BATON_METRICS_PUBLIC")
        content, content_type = metrics.exposition(request.headers.get("accept", ""))
        return Response(content, headers={"Content-Type": content_type})

    return routes


def _is_near(request: Request) -> bool:
    if request.client is None:
        return True
    try:
        return ipaddress.ip_address(request.client.host).is_loopback
    except ValueError:
        return False


def _json(body: Any) -> Response:
    return Response(encode(body), media_type="application/json")
