"""What the HTTP edge counts. Labels are routes and reasons, never people."""

from time import perf_counter

from prometheus_client import Counter, Gauge, Histogram
from starlette.types import ASGIApp, Message, Receive, Scope, Send

HTTP_REQUESTS = Counter("gongji_http_requests_total", "HTTP requests answered.", ["method", "route", "status"])
HTTP_SECONDS = Histogram("gongji_http_request_seconds", "Time to answer.", ["method", "route"])
REFUSALS = Counter("gongji_http_refusals_total", "Refusals by their first reason.", ["reason"])
KEYS_READS = Counter("gongji_jwks_reads_total", "Times that the provider's keys were asked for.", ["result"])
KEYS_READ_AT = Gauge("gongji_jwks_read_at_seconds", "When they were read last, in Unix time.")


# A method is whatever a caller writes: only these become labels.
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class Measure:
    """Counts each request under its route's template, and times it until its answer begins."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started = perf_counter()

        async def measured(message: Message) -> None:
            if message["type"] == "http.response.start":
                method = scope["method"] if scope["method"] in METHODS else "other"
                route = getattr(scope.get("route"), "path", "none")
                HTTP_REQUESTS.labels(method, route, message["status"]).inc()
                HTTP_SECONDS.labels(method, route).observe(perf_counter() - started)
            await send(message)

        await self.app(scope, receive, measured)
