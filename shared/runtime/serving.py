"""How every service listens: how many connections, how long a silent one, and what each answer tells a browser."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import uvicorn
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

CONNECTIONS_MAX = 1_000
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
    """uvicorn's, which waits for ever for a head that has begun, or for a first one: connections are few, so that is an attack."""

    _hang_up: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        super().connection_made(transport)
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
    trusted_proxies: str | None = None,
) -> AsyncIterator[None]:
    """Serves an application as long as the block runs; requests under way are finished.

    `trusted_proxies`, addresses or networks separated by commas: of these alone it is believed whom they speak for.
    """
    config = uvicorn.Config(
        SecurityHeaders(app),
        host=host,
        port=port,
        http=ImpatientProtocol,
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
