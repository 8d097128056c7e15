"""The composition root of the bookkeeper: what is made, in which order, and how it ends."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from datetime import timedelta
from functools import partial

import structlog

from services.bookkeeping import metrics
from services.bookkeeping.handler import DUTY_S_MAX, Handler
from services.bookkeeping.relay import NotTaken, Relay
from services.bookkeeping.settings import BookkeepingSettings
from shared.domain.times import Clock, system_clock
from shared.postgres.pool import create_pool
from shared.postgres.trouble import UNUSABLE, Trouble, trouble_of
from shared.rabbit.connection import hosts
from shared.rabbit.publisher import PublishFailed
from shared.runtime.rounds import rounds
from shared.runtime.serving import serving
from shared.telemetry.probe import probe_app

log = structlog.get_logger()

# A connection for each duty, and one to ask whether the database is there.
CONNECTIONS_MAX = 6
DAYS_EVERY_S = 60.0
MONTHS_EVERY_S = 3_600.0


async def run(settings: BookkeepingSettings, stop: asyncio.Event, clock: Clock = system_clock) -> None:
    """Keeps the books until `stop`; what is under way then has `drain_timeout_s` to finish, and is done again after a start."""
    async with AsyncExitStack() as house:
        pool = await create_pool(
            settings.database_url,
            role=settings.database_role,
            name="gongji-bookkeeping",
            size_max=CONNECTIONS_MAX,
            lent_s_max=DUTY_S_MAX,
        )
        house.callback(pool.terminate)
        relay = Relay(hosts(settings.amqp_url))
        house.push_async_callback(relay.close)
        handler = Handler(pool, clock, relay, settings.months_ahead, timedelta(seconds=settings.close_after_s))

        async def readiness() -> str | None:
            try:
                await handler.ready()
            except UNUSABLE:
                return "PostgreSQL cannot be reached"
            try:
                await relay.connect()
            except PublishFailed:
                return "RabbitMQ cannot be reached"
            if await relay.blocked():
                return "RabbitMQ takes no events: it has raised an alarm"
            return None

        await house.enter_async_context(serving(probe_app(readiness), settings.http_host, settings.http_port))
        log.info("started", http_port=settings.http_port)
        duties: dict[str, tuple[Callable[[], Awaitable[bool]], float]] = {
            "seal": (handler.seal, settings.seal_every_s),
            "tell": (handler.tell, settings.seal_every_s),
            "tell_of_bindings": (handler.tell_of_bindings, settings.seal_every_s),
            "close_days": (handler.close_days, DAYS_EVERY_S),
            "prepare_months": (handler.prepare_months, MONTHS_EVERY_S),
        }
        async with asyncio.TaskGroup() as working:
            at_work = [
                working.create_task(rounds(work, stop, every_s=every_s, failed=partial(_failed, name)), name=name)
                for name, (work, every_s) in duties.items()
            ]
            await stop.wait()
            _, late = await asyncio.wait(at_work, timeout=settings.drain_timeout_s)
            for duty in late:
                # A broker that has raised an alarm is waited for without an end.
                log.warning("drain_deadline_passed", duty=duty.get_name())
                duty.cancel()
        log.info("stopped")


def _failed(duty: str, error: Exception) -> None:
    metrics.FAILED_ROUNDS.labels(duty).inc()
    known = isinstance(error, (PublishFailed, NotTaken)) or trouble_of(error) is not Trouble.POISON
    log.warning("round_failed", duty=duty, error=type(error).__name__, exc_info=not known)
