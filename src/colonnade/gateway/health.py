"""Watches health over time: since when a slot fails, and whether a pool must fail open. Asks only while one is open."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from colonnade.core.decision import Decision
from colonnade.gateway.actions import SlotAction
from colonnade.gateway.failopen import decide_fail_open, is_mostly_out, is_open
from colonnade.gateway.probe import probe
from colonnade.gateway.state import Membership, ObservedGateway, ObservedServer, Pool, ServerState
from colonnade.gateway.view import FailingSince, leading_servers

PROMPT_SHARE = 0.75
"""Of the time that HAProxy's own checks allow: an answer that takes longer would fail them soon, and then everybody is
out again for the time that it takes to notice."""

PROBE_TIMEOUT_S_MAX = 0.4
"""Below the pace of looking."""


class HealthWatch:
    """Memory between looks. `note` and `decide` are called at each."""

    def __init__(self) -> None:
        self._failing_since: dict[tuple[str, int], float] = {}
        self._bad_looks: dict[str, int] = {}

    @property
    def failing_since(self) -> FailingSince:
        return self._failing_since

    def note(self, observed: ObservedGateway, membership: Membership, now_s: float) -> None:
        """Take in what HAProxy's own checks say; those that are switched off say nothing."""
        known: set[tuple[str, int]] = set()
        for pool in membership.pools:
            for slot, server in leading_servers(pool, observed).items():
                if server.state is ServerState.READY and server.has_checks:
                    known.add((pool.name, slot))
                    if not server.ignores_health:
                        self._note(pool.name, slot, now_s, passes=server.is_up)
        for gone in self._failing_since.keys() - known:
            del self._failing_since[gone]

    async def decide(
        self, observed: ObservedGateway, membership: Membership, now_s: float
    ) -> list[Decision[SlotAction]]:
        return [await self._decide(pool, leading_servers(pool, observed), now_s) for pool in membership.pools]

    async def _decide(self, pool: Pool, servers: Mapping[int, ObservedServer], now_s: float) -> Decision[SlotAction]:
        probes: dict[int, bool] = {}
        if is_open(pool, servers):
            probes = await self._probe(pool)
            for slot, passes in probes.items():
                self._note(pool.name, slot, now_s, passes=passes)
        self._bad_looks[pool.name] = self._bad_looks.get(pool.name, 0) + 1 if is_mostly_out(pool, servers) else 0
        return decide_fail_open(pool, servers, probes, self._bad_looks[pool.name])

    async def _probe(self, pool: Pool) -> dict[int, bool]:
        addresses = {
            server.slot: server.address
            for server in pool.servers
            if server.address is not None and server.state is ServerState.READY
        }
        timeout_s = min(PROBE_TIMEOUT_S_MAX, PROMPT_SHARE * pool.check_timeout_s)
        results = await asyncio.gather(
            *(probe(address, pool.check_path, pool.check_expect, timeout_s=timeout_s) for address in addresses.values())
        )
        return dict(zip(addresses, results, strict=True))

    def _note(self, pool: str, slot: int, now_s: float, *, passes: bool) -> None:
        if passes:
            self._failing_since.pop((pool, slot), None)
        else:
            self._failing_since.setdefault((pool, slot), now_s)
