"""/healthz, /readyz and /metrics, the same for every service."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import uvicorn
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


@asynccontextmanager
async def serving(app: ASGIApp, host: str, port: int, *, drain_s: float = 5.0) -> AsyncIterator[None]:
    """Serves an application as long as the block runs; requests under way are finished."""
    config = uvicorn.Config(
        app,
        host=host,
        port=port,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=int(drain_s),
    )
    server = uvicorn.Server(config)
    # Signals belong to the service's own lifecycle.
    running = asyncio.create_task(server._serve())  # noqa: SLF001 serve() without its signal handlers
    try:
        while not server.started:
            if running.done():
                await running
                raise OSError(f"could not listen on {host}:{port}")
            await asyncio.sleep(0.01)
        yield
    finally:
        server.should_exit = True
        await running
