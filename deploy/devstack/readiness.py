"""How it is seen that a server is ready."""

import asyncio
import contextlib

import httpx

from deploy.devstack.ports import LOOPBACK

TIMEOUT_S = 5.0


async def accepts_connections(port: int, host: str = LOOPBACK) -> bool:
    try:
        async with asyncio.timeout(TIMEOUT_S):
            _, writer = await asyncio.open_connection(host, port)
    except (OSError, TimeoutError):
        return False
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
    return True


async def answers(url: str) -> bool:
    """Whether a GET of this address is answered with 200."""
    # The user's proxy settings have no say in what runs on this machine.
    async with httpx.AsyncClient(trust_env=False, timeout=TIMEOUT_S) as client:
        try:
            response = await client.get(url)
        except httpx.HTTPError:
            return False
    return response.status_code == httpx.codes.OK
