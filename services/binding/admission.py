"""Before a call is read: how large its head is, who asks, how often; then how much it brings and how long that may take.

Whoever may not come in is refused at the cost of a head: no body is read, no connection to the database is taken.
"""

from asyncio import timeout
from collections import Counter
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from math import ceil
from time import monotonic

from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from services.binding.auth import Authenticator
from services.binding.model import Caller
from services.binding.problems import FieldProblem, Problem, problem_response
from services.binding.rates import Meter
from services.binding.settings import HttpLimits
from shared.domain.reasons import Reason
from shared.domain.roles import Role
from shared.runtime.addresses import network_of

# Probes are asked by the machine the service runs on, and answer whatever else happens.
PROBES = frozenset({"/healthz", "/readyz", "/metrics"})
API = "/v1/"
# How soon somebody may try again who has too many calls under way.
BUSY_RETRY_S = 1.0


class Admission:
    """Lets calls in to an application, with their caller in the request's state.

    `streamed` names the calls whose body the application reads itself, as it comes, and bounds itself.
    """

    def __init__(
        self,
        app: ASGIApp,
        authenticator: Authenticator,
        limits: HttpLimits,
        streamed: Collection[tuple[str, str]] = (),
    ) -> None:
        self.app, self.authenticator, self.limits, self.streamed = app, authenticator, limits, streamed
        # Apart, so that a flood of addresses makes nobody forget who has a token.
        self.subjects, self.addresses = Meter(), Meter()
        self.under_way: Counter[str] = Counter()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in PROBES:
            await self.app(scope, receive, send)
            return
        request = Request(scope)
        try:
            self._bound_head(request)
            who = await self._admit(request)
            with self._counted(who):
                whole = (
                    None
                    if (request.method, request.scope["path"]) in self.streamed
                    else await self._body(request, receive)
                )
                await self.app(scope, receive if whole is None else _replayed(whole, receive), send)
        except Problem as problem:
            await problem_response(problem)(scope, receive, send)

    def _bound_head(self, request: Request) -> None:
        size = len(request.scope.get("raw_path") or b"") + len(request.scope["query_string"])
        size += sum(len(name) + len(value) for name, value in request.headers.raw)
        if size > self.limits.http_head_bytes_max:
            problem = f"address and headers must be at most {self.limits.http_head_bytes_max} bytes"
            raise Problem(Reason.TOO_LARGE, fields=[FieldProblem(field="head", problem=problem)], status=431)

    async def _admit(self, request: Request) -> str:
        """Who it is that calls, as far as limits go. Raises Problem(rate_limited, unauthenticated, unavailable)."""
        caller = await self.authenticator.caller(request.headers.get("authorization"))
        if caller is not None:
            _spend(self.subjects, caller.subject, self._rate(caller))
            request.state.caller = caller
            return caller.subject
        address = network_of(request.client.host if request.client else "")
        _spend(self.addresses, address, self.limits.address_calls_per_minute)
        if request.scope["path"].startswith(API):
            # Without keys nobody can be told from a forger: that is not the caller's fault.
            raise Problem(Reason.UNAVAILABLE if self.authenticator.keys.is_empty else Reason.UNAUTHENTICATED)
        return address

    def _rate(self, caller: Caller) -> int:
        return {
            Role.MEMBER: self.limits.member_calls_per_minute,
            Role.CLERK: self.limits.clerk_calls_per_minute,
            Role.OPERATOR: self.limits.operator_calls_per_minute,
            Role.FEED: self.limits.feed_calls_per_minute,
            Role.INSTITUTION: self.limits.institution_calls_per_minute,
        }[caller.role]

    @contextmanager
    def _counted(self, who: str) -> Iterator[None]:
        """One more call under way. Raises Problem(rate_limited) where there are enough of this caller's."""
        if self.under_way[who] >= self.limits.calls_at_once_max:
            raise _limited(BUSY_RETRY_S)
        self.under_way[who] += 1
        try:
            yield
        finally:
            self.under_way[who] -= 1
            if not self.under_way[who]:
                del self.under_way[who]

    async def _body(self, request: Request, receive: Receive) -> Message:
        """All that a call brings, or that its caller has gone. Raises Problem(too_large, invalid)."""
        bytes_max, body_s = self.limits.http_body_bytes_max, self.limits.http_body_timeout_s
        length = request.headers.get("content-length", "")
        if length.isdecimal() and int(length[:20]) > bytes_max:
            raise _too_large(bytes_max)
        body, more = bytearray(), True
        try:
            async with timeout(body_s):
                while more:
                    message = await receive()
                    if message["type"] != "http.request":
                        return message
                    body += message.get("body", b"")
                    more = message.get("more_body", False)
                    if len(body) > bytes_max:
                        raise _too_large(bytes_max)
        except TimeoutError:
            problem = f"did not come within {body_s:g} s: send it again"
            raise Problem(Reason.INVALID, fields=[FieldProblem(field="body", problem=problem)], status=408) from None
        return {"type": "http.request", "body": bytes(body), "more_body": False}


def _spend(meter: Meter, who: str, calls_per_minute: int) -> None:
    if wait_s := meter.wait_s(who, calls_per_minute, monotonic()):
        raise _limited(wait_s)


def _limited(wait_s: float) -> Problem:
    return Problem(Reason.RATE_LIMITED, headers={"Retry-After": str(ceil(wait_s))})


def _too_large(bytes_max: int) -> Problem:
    problem = f"must be at most {bytes_max} bytes"
    return Problem(Reason.TOO_LARGE, fields=[FieldProblem(field="body", problem=problem)])


def _replayed(first: Message, receive: Receive) -> Receive:
    """What was read already, then whatever comes."""
    waiting = [first]

    async def replay() -> Message:
        return waiting.pop() if waiting else await receive()

    return replay
