"""What the HTTP edge counts. Labels are routes and reasons, never people."""

from time import perf_counter

from prometheus_client import Counter, Gauge, Histogram
from starlette.middleware.base import BaseHTTPMiddleware, RequestResponseEndpoint
from starlette.requests import Request
from starlette.responses import Response

HTTP_REQUESTS = Counter("gongji_http_requests_total", "HTTP requests answered.", ["method", "route", "status"])
HTTP_SECONDS = Histogram("gongji_http_request_seconds", "Time to answer.", ["method", "route"])
REFUSALS = Counter("gongji_http_refusals_total", "Refusals by their first reason.", ["reason"])
KEYS_READS = Counter("gongji_jwks_reads_total", "Times that the provider's keys were asked for.", ["result"])
KEYS_READ_AT = Gauge("gongji_jwks_read_at_seconds", "When they were read last, in Unix time.")


class Measure(BaseHTTPMiddleware):
    """Counts and times each request under its route's template."""

    async def dispatch(self, request: Request, call_next: RequestResponseEndpoint) -> Response:
        started = perf_counter()
        response = await call_next(request)
        route = getattr(request.scope.get("route"), "path", "none")
        HTTP_REQUESTS.labels(request.method, route, response.status_code).inc()
        HTTP_SECONDS.labels(request.method, route).observe(perf_counter() - started)
        return response
