"""Asks one question of the system, outside of any load: for reading back, and for trying a workload out.

Read next: `readback`, `itemback`.
"""

import asyncio

from colonnade.core.errors import DriverUnavailable
from colonnade.drill.load.connection import Attempt, ExchangeFailed
from colonnade.drill.load.pool import Pool
from colonnade.drill.load.response import ReplyParser
from colonnade.drill.load.target import Target

REPLY_S_MAX = 10.0


async def ask(pool: Pool, target: Target, request: bytes, about: str) -> ReplyParser:
    """The whole reply to a request. `about` says in an error what was asked for. Raises DriverUnavailable."""
    try:
        async with asyncio.timeout(REPLY_S_MAX):
            connection = await pool.take()
            reply = await connection.exchange(request, Attempt())
    except (ExchangeFailed, TimeoutError) as error:
        raise no_answer(target, about, error) from error
    pool.give_back(connection)
    return reply


async def knock(pool: Pool, target: Target) -> None:
    """Only connect. Raises DriverUnavailable."""
    try:
        async with asyncio.timeout(REPLY_S_MAX):
            await pool.open()
    except (ExchangeFailed, TimeoutError) as error:
        raise no_answer(target, "a connection", error) from error


def no_answer(target: Target, about: str, error: Exception) -> DriverUnavailable:
    reason = error.kind if isinstance(error, ExchangeFailed) else f"silent for {REPLY_S_MAX:g} s"
    return DriverUnavailable(
        f"no answer to {about}: {reason}", hint="is it up? `colonnade status` tells", subject=name_of(target)
    )


def name_of(target: Target) -> str:
    return f"http://{target.host_header}"
