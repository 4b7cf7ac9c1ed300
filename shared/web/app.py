"""The face of a process: hooks below ASGI, then raw mounts by prefix, then the API behind its edge."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

import structlog
from fastapi import APIRouter, FastAPI
from fastapi.middleware.asyncexitstack import AsyncExitStackMiddleware
from fastapi.routing import APIRoute, iter_route_contexts
from pydantic import BaseModel
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from shared.clock import Clock
from shared.db.pool import Database
from shared.errors import NotFound, Refusal
from shared.ids import Ids
from shared.sealing import KeyRing
from shared.settings import KernelSettings
from shared.telemetry import spans as steps
from shared.telemetry import traces
from shared.telemetry.metrics import Metrics
from shared.telemetry.spans import OFF, Spans
from shared.web import dead_letters, openapi, problems
from shared.web.auth import Authenticator
from shared.web.bodies import Limits, encode
from shared.web.calls import Face, RouteFacts
from shared.web.edge import Edge
from shared.web.health import Health
from shared.web.health import router as health_router
from shared.web.hooks import Hook, Hooks
from shared.web.limits import RateLimiter
from shared.web.routing import Index
from shared.web.settings import WebSettings


class Hosted(Protocol):
    """What the face needs of a service."""

    @property
    def name(self) -> str: ...
    @property
    def router(self) -> APIRouter: ...
    @property
    def mounts(self) -> Mapping[str, Any]: ...
    @property
    def hooks(self) -> Mapping[str, Hook]: ...
    @property
    def mount_paths(self) -> Mapping[str, Any]: ...
    @property
    def body_limits(self) -> Mapping[str, int]: ...
    @property
    def resources(self) -> Sequence[object]: ...


class App:
    """One process's HTTP face: an ASGI callable, and the hooks that its server asks first.

    A request for a mount never enters FastAPI.
    """

    def __init__(
        self,
        mounts: Mapping[str, ASGIApp],
        api: ASGIApp,
        *,
        hooks: Mapping[str, Hook],
        routes: Sequence[APIRoute],
        mount_paths: Mapping[str, Any],
        face: Face,
    ) -> None:
        # Longest first: the most specific prefix wins.
        self._mounts = sorted(mounts.items(), key=lambda mount: -len(mount[0]))
        self._mount_paths = mount_paths
        self._api = api
        self.hooks = Hooks(hooks, refusal=self._problem)
        self.routes = routes
        self.face = face

    def openapi(self) -> dict[str, Any]:
        """The document of everything that is served here."""
        return openapi.document(self.routes, self._mount_paths)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            return
        path = scope["path"]
        for prefix, mount in self._mounts:
            if path.startswith(prefix):
                if self.face.spans.is_on:
                    await self._traced(prefix, mount, scope, receive, send)
                else:
                    await self._guarded(mount, scope, receive, send)
                return
        await self._api(scope, receive, send)

    async def _traced(self, prefix: str, mount: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        given = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        facts = {"http.request.method": scope["method"], "url.path": scope["path"]}
        with self.face.spans.serving(f"{scope['method']} {prefix}", traces.extract(given), facts) as span:

            async def answer(message: Message) -> None:
                if message["type"] == "http.response.start":
                    steps.answered(span, message["status"])
                await send(message)

            await self._guarded(mount, scope, receive, answer)

    async def _guarded(self, mount: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        """A mount answers its own refusals; what escapes it becomes a problem all the same."""
        try:
            await mount(scope, receive, send)
        except Exception as error:  # noqa: BLE001 - this is the last catch before the server
            await self._problem(error)(scope, receive, send)

    def _problem(self, error: Exception) -> Response:
        request_id = self.face.ids.new("req")
        if problems.refusal_of(error) is None:
            structlog.get_logger().error("mount_failed", request_id=request_id, exc_info=error)
        return problems.render(error, request_id=request_id)


class _Api(FastAPI):
    """FastAPI without its middleware: the edge catches, limits and measures, once."""

    def build_middleware_stack(self) -> ASGIApp:
        return AsyncExitStackMiddleware(self.router)


def create_app(
    services: Sequence[Hosted],
    *,
    database: Database,
    clock: Clock,
    ids: Ids,
    metrics: Metrics,
    health: Health,
    settings: KernelSettings,
    keyring: KeyRing,
    web: WebSettings,
    spans: Spans = OFF,
) -> App:
    """The face of these services, beside what every process serves."""
    owned = [(service.name, service.router, service.resources) for service in services]
    schemas = dead_letters.Schemas(sorted(service.name for service in services))
    if schemas:
        # Answers to operators are kept in the first service's schema: those of no service have nowhere to go.
        owned.append((schemas[0], dead_letters.router, [schemas]))
    owned.append(("platform", health_router(health, metrics, metrics_public=web.metrics_public), ()))
    api = _Api(openapi_url=None, docs_url=None, redoc_url=None, redirect_slashes=False)
    routes: list[APIRoute] = []
    facts: dict[int, RouteFacts] = {}
    for schema, router, resources in owned:
        for route in _api_routes(router):
            routes.append(route)
            facts[id(route)] = _facts(schema, route, resources)
    mounted = {path: item for service in services for path, item in service.mount_paths.items()}
    for route in _api_routes(_documents(routes, mounted)):
        routes.append(route)
        facts[id(route)] = _facts("platform", route, ())
    api.router.routes.append(Index(routes))
    face = Face(
        database=database,
        clock=clock,
        ids=ids,
        authenticator=Authenticator(database, clock),
        keyring=keyring,
        routes=facts,
        spans=spans,
    )
    edge = Edge(
        api,
        face=face,
        limiter=RateLimiter(clock, rate=web.api_rate, burst=web.api_burst),
        metrics=metrics,
        limits=Limits(
            size=settings.api_body_limit,
            depth=settings.json_depth,
            larger={path: limit for service in services for path, limit in service.body_limits.items()},
        ),
    )
    mounts = {prefix: mount for service in services for prefix, mount in service.mounts.items()}
    # Where spans are recorded every request goes the ordinary way, which has a place for them.
    hooked = () if spans.is_on else services
    hooks = {prefix: hook for service in hooked for prefix, hook in service.hooks.items()}
    return App(mounts, edge, hooks=hooks, routes=routes, mount_paths=mounted, face=face)


def _api_routes(router: APIRouter) -> list[APIRoute]:
    found = []
    for context in iter_route_contexts(router.routes):
        route = context.original_route
        if not isinstance(route, APIRoute) or route.path != context.path:
            # A nested include hides its prefix from the index: give the router the prefix instead.
            raise TypeError(f"{context.path} is not a plain API route")
        found.append(route)
    return found


def _facts(service: str, route: APIRoute, resources: Sequence[object]) -> RouteFacts:
    return RouteFacts(
        service=service,
        name=f"{'/'.join(sorted(route.methods or ()))} {route.path_format}",
        status=route.status_code or 200,
        parameters=frozenset(_query_parameters(route)),
        resources=resources,
    )


def _query_parameters(route: APIRoute) -> Iterable[str]:
    pending = [route.dependant]
    while pending:
        dependant = pending.pop()
        pending += dependant.dependencies
        for parameter in dependant.query_params:
            kind = parameter.field_info.annotation
            if isinstance(kind, type) and issubclass(kind, BaseModel):
                yield from (field.alias or name for name, field in kind.model_fields.items())
            else:
                yield parameter.alias


def _documents(routes: Sequence[APIRoute], mounted: Mapping[str, Any]) -> APIRouter:
    router = APIRouter(tags=["operations"], include_in_schema=False)
    known: list[bytes] = []

    @router.get("/openapi.json")
    async def get_openapi() -> Response:
        if not known:
            known.append(encode(openapi.document(routes, mounted)))
        return Response(known[0], media_type="application/json")

    @router.get("/problems")
    async def list_problems() -> Response:
        kinds = {kind.code: kind for kind in problems.leaves()}
        listed = [_meaning(kinds[code]) for code in sorted(kinds)]
        return Response(encode({"data": listed}), media_type="application/json")

    @router.get("/problems/{code}")
    async def get_problem(code: str) -> Response:
        for kind in problems.leaves():
            if kind.code == code:
                return Response(encode(_meaning(kind)), media_type="application/json")
        raise NotFound(f"there is no problem {code}")

    return router


def _meaning(kind: type[Refusal]) -> dict[str, Any]:
    return {"code": kind.code, "status": kind.status, "title": kind.title, "meaning": kind.__doc__}
