"""The composition root of the settlement worker: what is made, in which order, and how it ends."""

import asyncio
from contextlib import AsyncExitStack

import structlog

from services.settlement import failpoints
from services.settlement.chores import Chores
from services.settlement.consumer import Consumer
from services.settlement.handler import Handler, ServersAway
from services.settlement.recheck import Rechecks
from services.settlement.settings import Consumes, SettlementSettings
from shared.domain.times import Clock, system_clock
from shared.postgres.pool import create_pool
from shared.rabbit.connection import Brokers, hosts
from shared.rabbit.topology import BULK, INQUIRY, SETTLEMENT
from shared.runtime.serving import serving
from shared.telemetry.probe import probe_app

log = structlog.get_logger()

# Beside one for each lane: one for the chores, one for the rechecks, and one to ask whether the database is there.
OTHER_CONNECTIONS = 3
# A batch takes milliseconds; twice what the server gives one statement before it says so itself.
TRANSACTION_S_MAX = 30.0
QUEUES_OF = {
    Consumes.ALL: (SETTLEMENT, BULK, INQUIRY),
    Consumes.SETTLEMENT: (SETTLEMENT,),
    Consumes.BULK: (BULK,),
    Consumes.INQUIRY: (INQUIRY,),
}


async def run(settings: SettlementSettings, stop: asyncio.Event, clock: Clock = system_clock) -> None:
    """Works until `stop`, then drains: no new deliveries, the batch in hand decided, answered, acknowledged."""
    if settings.failpoint:
        failpoints.arm(settings.failpoint)
        log.warning("failpoint_armed", failpoint=settings.failpoint)
    queues = QUEUES_OF[settings.consumes]
    async with AsyncExitStack() as house:
        pool = await create_pool(
            settings.database_url,
            role=settings.database_role,
            name="gongji-settlement",
            size_max=len(queues) * settings.lanes + OTHER_CONNECTIONS,
            plan_once=True,
            lent_s_max=TRANSACTION_S_MAX,
        )
        house.callback(pool.terminate)
        handler = Handler(pool, clock, settings.authenticate_senders)
        consumer = Consumer(
            Brokers(hosts(settings.amqp_url)),
            queues,
            handler,
            clock,
            settings.batch_max,
            settings.prefetch,
            settings.lanes,
        )

        async def readiness() -> str | None:
            if why := await consumer.trouble():
                return why
            try:
                await handler.ready()
            except ServersAway:
                return "PostgreSQL cannot be reached"
            return None

        await house.enter_async_context(serving(probe_app(readiness), settings.http_host, settings.http_port))
        log.info("started", http_port=settings.http_port)
        duties: list[asyncio.Task[None]] = []
        # Where questions are answered, nothing else shall take the processor.
        if settings.consumes is not Consumes.INQUIRY:
            duties = [
                asyncio.create_task(Chores(pool, clock, settings.chores_every_s).run(stop)),
                asyncio.create_task(Rechecks(pool, clock, settings.recheck_every_s).run(stop)),
            ]
        await _until_drained(consumer, stop, settings.drain_timeout_s)
        for duty in duties:
            duty.cancel()
        await asyncio.gather(*duties, return_exceptions=True)
        log.info("stopped")


async def _until_drained(consumer: Consumer, stop: asyncio.Event, drain_timeout_s: float) -> None:
    working = asyncio.create_task(consumer.run(stop))
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait({working, stopping}, return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    if not working.done():
        log.info("draining", deadline_s=drain_timeout_s)
        await asyncio.wait({working}, timeout=drain_timeout_s)
    if not working.done():
        # What is still in hand was not acknowledged, so another worker will get it.
        log.warning("drain_deadline_passed")
        working.cancel()
        await asyncio.wait({working})
        return
    await working
