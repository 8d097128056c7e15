"""/healthz, /readyz and /metrics, the same for every service."""

from collections.abc import Awaitable, Callable

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

# Why the service is not ready, or None if it is.
Readiness = Callable[[], Awaitable[str | None]]


def probe_routes(readiness: Readiness) -> list[Route]:
    """The three routes, for a service's own application or for one of their own."""

    async def healthz(_: Request) -> Response:
        return JSONResponse({"status": "alive"})

    async def readyz(_: Request) -> Response:
        why_not = await readiness()
        if why_not is None:
            return JSONResponse({"status": "ready"})
        return JSONResponse({"status": "not ready", "why": why_not}, status_code=503)

    async def metrics(_: Request) -> Response:
        return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)

    return [Route("/healthz", healthz), Route("/readyz", readyz), Route("/metrics", metrics)]


def probe_app(readiness: Readiness) -> ASGIApp:
    return Starlette(routes=probe_routes(readiness))
