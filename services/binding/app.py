"""The composition root of the binding service: what is made, in which order, and how it ends."""

import asyncio
from contextlib import AsyncExitStack
from functools import partial
from typing import Any

import httpx
import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.routing import compile_path

from services.binding.admission import Admission
from services.binding.api import reconciliations, router
from services.binding.auth import Authenticator
from services.binding.handler import Handler
from services.binding.keyring import RingFile
from services.binding.keys import Key, Keyring, KeySet, read_file, read_over_http
from services.binding.metrics import Measure
from services.binding.problems import MEDIA_TYPE, Problem, Unexpected, on_http, on_invalid, on_problem, problem_response
from services.binding.reconciling import Reconciler
from services.binding.sealing import Sealer, Unreadable
from services.binding.settings import BindingSettings, HttpLimits
from shared.domain.reasons import Reason
from shared.domain.times import Clock, system_clock
from shared.postgres.pool import create_pool
from shared.postgres.trouble import UNUSABLE
from shared.runtime.rounds import rounds
from shared.runtime.serving import serving
from shared.telemetry.probe import probe_routes

log = structlog.get_logger()

# Twice what comparing a day's file may take for one statement, and some.
CALL_S_MAX = 300.0

DESCRIPTION = """Who is insured where, who may pay for whom, and under which policy.

Refusals are `application/problem+json`; `reason` is the first reason, `reasons` are all that apply."""


class Application(FastAPI):
    """FastAPI, whose description says of refusals what they are: problem+json."""

    def openapi(self) -> dict[str, Any]:
        document = super().openapi()
        for operations in document["paths"].values():
            for operation in operations.values():
                for status, response in operation["responses"].items():
                    if status >= "400" and "application/json" in response.get("content", {}):
                        response["content"] = {MEDIA_TYPE: response["content"]["application/json"]}
        return document

    def methods_at(self, path: str) -> list[str]:
        """Every method by which a path can be called; the router names those of the first route only."""
        paths = self.openapi()["paths"].items()
        return sorted(
            method.upper()
            for template, operations in paths
            if compile_path(template)[0].fullmatch(path)
            for method in operations
        )


def build(handler: Handler, authenticator: Authenticator, limits: HttpLimits | None = None) -> FastAPI:
    """The HTTP application around a handler."""
    app = Application(
        title="Gongji binding service",
        version="1",
        description=DESCRIPTION,
        redoc_url=None,
        docs_url=None,
        # It would send the caller to whatever host the caller has named.
        redirect_slashes=False,
    )
    app.state.handler = handler
    app.state.reconciler = Reconciler(handler)
    # The last one added is met first: whatever the others answer is counted.
    app.add_middleware(
        Admission, authenticator=authenticator, limits=limits or HttpLimits(), streamed={reconciliations.STREAMED}
    )
    app.add_middleware(Unexpected)
    app.add_middleware(Measure)
    app.include_router(router)

    async def readiness() -> str | None:
        try:
            await handler.ready()
        except UNUSABLE:
            return "PostgreSQL cannot be reached"
        return None

    app.routes.extend(probe_routes(readiness))
    app.add_exception_handler(Problem, on_problem)
    app.add_exception_handler(RequestValidationError, on_invalid)
    app.add_exception_handler(HTTPException, on_http)
    app.add_exception_handler(405, on_wrong_method)
    app.add_exception_handler(Unreadable, on_unreadable)
    for away in UNUSABLE:
        app.add_exception_handler(away, on_database_trouble)
    return app


async def on_wrong_method(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    methods = request.app.methods_at(request.scope["path"])
    return problem_response(
        Problem(Reason.METHOD_NOT_ALLOWED, headers={"Allow": ", ".join(methods)} if methods else error.headers)
    )


async def on_unreadable(_: Request, error: Exception) -> JSONResponse:
    """A key that this instance does not have, or a value that is not what was sealed: for whoever keeps the keys."""
    assert isinstance(error, Unreadable)
    log.error("personal_data_unreadable", why=str(error), key_id=error.key_id)
    return problem_response(Problem(Reason.UNAVAILABLE))


async def on_database_trouble(_: Request, error: Exception) -> JSONResponse:
    """Whatever the database could not do now, the caller may try again; the cause is for the log."""
    log.error("database_trouble", error=type(error).__name__, sqlstate=getattr(error, "sqlstate", None))
    return problem_response(Problem(Reason.UNAVAILABLE))


async def run(settings: BindingSettings, stop: asyncio.Event, clock: Clock = system_clock) -> None:
    """Serves until `stop`, then finishes the requests under way."""
    async with AsyncExitStack() as house:
        pool = await create_pool(
            settings.database_url,
            role=settings.database_role,
            name="gongji-binding",
            size_max=settings.database_connections_max,
            lent_s_max=CALL_S_MAX,
        )
        house.callback(pool.terminate)
        ring = RingFile(settings.key_ring_file)
        # A ring that cannot be used ends the process now, not at the first call.
        log.info("key_ring_read", keys=list(ring.current().lines))
        authenticator = Authenticator(
            await _keyring(settings, house, stop),
            settings.jwt_audience,
            settings.jwt_leeway_s,
            settings.jwt_issuer,
        )
        app = build(Handler(pool, clock, Sealer(ring.current)), authenticator, settings)
        await house.enter_async_context(
            serving(
                app,
                settings.http_host,
                settings.http_port,
                drain_s=settings.drain_timeout_s,
                connections_max=settings.http_connections_max,
                connections_per_address_max=settings.http_connections_per_address_max,
                trusted_proxies=settings.trusted_proxies,
            )
        )
        log.info("started", http_port=settings.http_port)
        await stop.wait()
        log.info("draining", deadline_s=settings.drain_timeout_s)
    log.info("stopped")


async def _keyring(settings: BindingSettings, house: AsyncExitStack, stop: asyncio.Event) -> Keyring:
    """The keys that tokens are checked with, kept fresh as long as the house stands."""
    own = Key.from_pem(settings.jwt_public_key_file.read_bytes()) if settings.jwt_public_key_file else None
    if settings.jwks_url:
        client = await house.enter_async_context(httpx.AsyncClient())
        provider = KeySet(partial(read_over_http, client, settings.jwks_url), stale_max_s=settings.jwks_stale_max_s)
    elif settings.jwks_file:
        provider = KeySet(partial(read_file, settings.jwks_file), stale_max_s=settings.jwks_stale_max_s)
    else:
        return Keyring(own)
    # What goes wrong is logged where it does. A service that cannot be asked for keys yet is ready all the same.
    refreshing = rounds(provider.refresh, stop, every_s=settings.jwks_refresh_s, failed=lambda _: None)
    house.callback(asyncio.create_task(refreshing).cancel)
    return Keyring(own, provider)
