"""How every service listens: how many connections, how long a silent one, and what each answer tells a browser."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import uvicorn
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware
from uvicorn.protocols.http.h11_impl import H11Protocol

from shared.runtime.addresses import Neighbours

CONNECTIONS_MAX = 1_000
# A fifth of them: whoever has one address leaves room for everybody else, and for the probes.
CONNECTIONS_PER_ADDRESS_MAX = 200
# Twice what a call may have, so that the application can say what is wrong with one that has more.
HEAD_BYTES_MAX = 16 * 1024
# From the connection, or the last answer, to the end of the next request's head; also for the rest of a refused body.
HEAD_TIMEOUT_S = 15.0
# Answers are data for programs and may be personal: nobody keeps them, guesses their type, or shows them in a frame.
# Source: OWASP REST Security Cheat Sheet, "Security headers".
HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
# For a year. Only where the call came by TLS: elsewhere browsers ignore it.
HSTS = "max-age=31536000; includeSubDomains"


class SecurityHeaders:
    """Adds to each answer what it does not say itself."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
                if scope["scheme"] == "https":
                    headers.setdefault("Strict-Transport-Security", HSTS)
            await send(message)

        await self.app(scope, receive, with_headers)


class ImpatientProtocol(H11Protocol):
    """uvicorn's, which waits for ever for a head that has begun, or for a first one, and takes any number of connections from one
    address: there are few for all, so both are an attack.
    """

    _hang_up: asyncio.TimerHandle | None = None
    _admitted: str | None = None

    def __init__(self, *server: Any, neighbours: Neighbours, **told: Any) -> None:
        super().__init__(*server, **told)
        self.neighbours = neighbours

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        super().connection_made(transport)
        address = self.client[0] if self.client else ""
        if not self.neighbours.admit(address):
            # Nothing is said: an answer would have to wait for a call.
            self.transport.close()
            return
        self._admitted = address
        self._expect_head()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.cycle is not None and not self.cycle.response_complete:
            self._expect_nothing()

    def on_response_complete(self) -> None:
        self._expect_head()
        super().on_response_complete()
        if self.cycle is not None and not self.cycle.response_complete:
            self._expect_nothing()

    def connection_lost(self, exc: Exception | None) -> None:
        self._expect_nothing()
        if self._admitted is not None:
            self.neighbours.leave(self._admitted)
        super().connection_lost(exc)

    def _expect_head(self) -> None:
        self._expect_nothing()
        self._hang_up = self.loop.call_later(HEAD_TIMEOUT_S, self._give_up)

    def _expect_nothing(self) -> None:
        if self._hang_up is not None:
            self._hang_up.cancel()
            self._hang_up = None

    def _give_up(self) -> None:
        self.transport.close()


@asynccontextmanager
async def serving(
    app: ASGIApp,
    host: str,
    port: int,
    *,
    drain_s: float = 5.0,
    connections_max: int = CONNECTIONS_MAX,
    connections_per_address_max: int = CONNECTIONS_PER_ADDRESS_MAX,
    trusted_proxies: str | None = None,
) -> AsyncIterator[None]:
    """Serves an application as long as the block runs; requests under way are finished.

    `trusted_proxies`, addresses or networks separated by commas: of these alone it is believed whom they speak for, and they may
    have as many connections as there are.
    """
    safe = SecurityHeaders(app)
    # Asked in the same way by which uvicorn believes them.
    proxies = ProxyHeadersMiddleware(safe, trusted_proxies or "").trusted_hosts  # type: ignore[arg-type]  # its own word for an application
    neighbours = Neighbours(connections_per_address_max, proxies.__contains__)
    config = uvicorn.Config(
        safe,
        host=host,
        port=port,
        http=partial(ImpatientProtocol, neighbours=neighbours),  # type: ignore[arg-type]  # it is only ever called
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=trusted_proxies is not None,
        forwarded_allow_ips=trusted_proxies or "",
        limit_concurrency=connections_max,
        h11_max_incomplete_event_size=HEAD_BYTES_MAX,
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
