"""Looks at the instance's status all the time, and says of each look whether anything was missing.

A status that does not come within a second is an answer too: nobody was there to give it. Records; judges nothing.
Read next: `record.Sample`, `director`.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Self

import httpx

from colonnade.core.clock import Clock
from colonnade.drill.deaths import DeathWatch
from colonnade.drill.record import Death, Sample
from colonnade.system.paths import StatePaths

EVERY_S = 0.5
"""Between two looks: recovery is told to half a second, and the controller answers in milliseconds."""

ANSWER_S_MAX = 1.0
"""A controller that was frozen accepts the connection and never answers."""

NOTICED_S = 0.25
"""The first look that counts after something was broken: a death is seen within milliseconds, by pidfd, and looked at
earlier the system might be called whole because nobody has noticed yet."""


class Sampler:
    """Keeps every look, and the newest status as a whole. Use as an async context manager."""

    def __init__(self, paths: StatePaths, clock: Clock) -> None:
        self._clock = clock
        self._http = httpx.AsyncClient(
            transport=httpx.AsyncHTTPTransport(uds=str(paths.control_socket)),
            base_url="http://colonnade",
            timeout=ANSWER_S_MAX,
            trust_env=False,
        )
        self._watch = DeathWatch(clock)
        self.samples: list[Sample] = []
        self.status: Mapping[str, Any] = {}
        """The newest that was given; empty before the first."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self._watch.close()
        await self._http.aclose()

    @property
    def deaths(self) -> tuple[Death, ...]:
        """Of database servers, since the first look."""
        return tuple(self._watch.deaths)

    async def run(self) -> None:
        """Look every half a second until cancelled."""
        while True:
            await self.look()
            await self._clock.sleep(EVERY_S)

    async def look(self) -> Sample:
        """One look, also kept."""
        at = self._clock.monotonic()
        try:
            answer = await self._http.get("/status")
            status: Mapping[str, Any] | None = answer.json() if answer.status_code == httpx.codes.OK else None
        except (httpx.TransportError, ValueError):
            status = None
        if status is not None:
            self.status = status
            self._watch.look(status)
        sample = sample_of(at, status)
        insort(self.samples, sample, key=lambda each: each.at)  # a look that was not answered ends after later ones
        return sample


def sample_of(at: float, status: Mapping[str, Any] | None) -> Sample:
    """A status reduced to what is compared later; None for one that was not given."""
    if status is None:
        return Sample(at, is_answered=False)
    database = status["database"] or {}
    is_ours = bool(database) and not database["external"]
    return Sample(
        at=at,
        is_answered=True,
        problems=(*status["problems"], *missing_in(status)),
        ready={
            service["name"]: sum(replica["state"] == "ready" for replica in service["replicas"])
            for service in status["services"]
        },
        desired={service["name"]: service["desired"] for service in status["services"]},
        primary=database.get("primary"),
        is_writable=database["writable"] if is_ours else None,
        nodes={node["name"]: f"{node['role']} {node['state']}" for node in database.get("nodes", ())},
    )


def missing_in(status: Mapping[str, Any]) -> Iterator[str]:
    """What `problems` does not say, because a system that serves may lack it for a moment."""
    if status["phase"] != "running":
        yield f"the system is {status['phase']}"
    parts = {"keeper": status["keeper_pid"], "gateway": status["gateway"]["pid"]}
    if status["database"] and not status["database"]["external"]:
        parts["dbgate"] = status["dbgate"]["pid"]
    for name, pid in parts.items():
        if not pid:
            yield f"{name}: does not run"
    for service in status["services"]:
        served = sum(replica["gateway"] == "UP" for replica in service["replicas"])
        if served != service["desired"] or len(service["replicas"]) != service["desired"]:
            yield f"{service['name']}: {served} of {service['desired']} replicas get requests"
    deployment = status.get("deployment")
    if deployment and deployment["is_open"]:
        yield f"a {deployment['kind']} is {deployment['stage']}"


def whole_since(samples: Sequence[Sample], moment: float) -> float | None:
    """The first look after `moment` (and NOTICED_S) at which nothing was missing; None when there was none."""
    return next((sample.at for sample in samples if sample.at >= moment + NOTICED_S and sample.is_whole), None)
