"""Bad rollout: a broken version of the application is deployed, in the drill's own copy of it. The system has to notice
and to go back by itself; healing waits for that, and rolls back what was kept.

The file in the copy is as before once the version was taken.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from colonnade.core.errors import ColonnadeError, DriverUnavailable
from colonnade.drill.faults.broken_code import Breakage, does_not_start, errs
from colonnade.drill.faults.fault import NotPossible, Surroundings
from colonnade.drill.faults.settings import known, refusal
from colonnade.drill.faults.targets import service_meant
from colonnade.drill.scenario import PlannedFault
from colonnade.spec import FILE_NAME
from colonnade.spec.detect import Detected
from colonnade.spec.load import load_spec
from colonnade.system.accepted import read_accepted
from colonnade.system.client import ControlClient, NotRunning

T = TypeVar("T")

UNDO_S_MAX = 120.0
"""For the end of the deployment, at healing: a start time-out of a minute, and as long again to go back."""

POLL_S = 0.1
DEFAULTS: dict[str, float | str] = {"how": Breakage.DOES_NOT_START.value, "share": 0.5}


class BadRollout:
    """`how`: does_not_start or errs; `share`: of the requests, those that `errs` answers with 500."""

    def __init__(self, planned: PlannedFault, around: Surroundings) -> None:
        given = {**DEFAULTS, **known(planned, DEFAULTS)}
        if given["how"] not in set(Breakage):
            raise refusal(planned, f"how must be does_not_start or errs, got {given['how']!r}")
        if not isinstance(given["share"], int | float) or not 0 < given["share"] <= 1:
            raise refusal(planned, f"share must be above 0 and 1 at most, got {given['share']!r}")
        self._paths = around.instance.paths
        self._clock = around.clock
        self._service = service_meant(planned.aim, around)
        self._file, self._broken = _break(
            self._service, around, Breakage(str(given["how"])), share=float(given["share"])
        )
        self._before = int((around.status.get("deployment") or {"number": 0})["number"])
        self._is_asked = False
        self.subjects = (self._service,)
        self._what = f"deployed a version of {self._service} that {str(given['how']).replace('_', ' ')}"
        self.message = self._what

    async def inject(self) -> None:
        before = self._file.read_bytes()
        self._is_asked = True
        try:
            self._file.write_bytes(self._broken)
            await asyncio.to_thread(self._ask, lambda client: client.deploy([self._service]))
        finally:
            self._file.write_bytes(before)

    async def heal(self) -> None:
        """Raises DriverUnavailable when the deployment does not end."""
        if not self._is_asked:
            return
        self._is_asked = False
        ended = await self._until_ended(self._before)
        if ended is None:
            return  # it was refused: nothing is new
        if ended["stage"] != "done":
            self.message = f"{self._what}; {ended['stage']}: {ended['message']}"
            return
        self.message = f"{self._what}; it was kept, and the drill rolled it back"
        await asyncio.to_thread(self._ask, lambda client: client.roll_back(int(ended["old"])))
        await self._until_ended(int(ended["number"]))

    async def _until_ended(self, after: int) -> dict[str, Any] | None:
        """How the newest deployment ended; None when there is none after this one. Not asked for by its number: who
        asked for it may have been interrupted, or its controller replaced, before the answer came."""
        deadline = self._clock.monotonic() + UNDO_S_MAX
        while self._clock.monotonic() < deadline:
            try:
                found: dict[str, Any] | None = await asyncio.to_thread(self._ask, ControlClient.deployment)
            except (NotRunning, DriverUnavailable):
                pass  # a controller that is being replaced
            else:
                if found is None or found["number"] <= after:
                    return None
                if not found["is_open"]:
                    return found
            await self._clock.sleep(POLL_S)
        raise DriverUnavailable(
            f"the deployment has not ended after {UNDO_S_MAX:.0f} s",
            subject=self._service,
            hint="see the drill's events for what it waits for",
        )

    def _ask(self, question: Callable[[ControlClient], T]) -> T:
        with ControlClient(self._paths) as client:
            return question(client)


def _break(service: str, around: Surroundings, how: Breakage, *, share: float) -> tuple[Path, bytes]:
    """Which file of the copy is broken, and what it becomes. Raises NotPossible where that is not understood."""
    found = _application(service, around)
    module, _, name = found.target.partition(":")
    try:
        directory = load_spec(around.instance.directory / FILE_NAME).directory_of(service)
    except ColonnadeError as error:
        raise NotPossible(
            "no_declaration", f"the copy of the application has no usable {FILE_NAME}: {error}"
        ) from error
    stem = directory.joinpath(*module.split("."))
    file = next((path for path in (stem.with_suffix(".py"), stem / "__init__.py") if path.is_file()), None)
    if file is None or not file.resolve().is_relative_to(around.instance.directory.resolve()):
        raise NotPossible("not_in_the_copy", f"the module {module} of {service} is no file of the application's copy")
    text = file.read_text(encoding="utf-8")
    if how is Breakage.DOES_NOT_START:
        return file, does_not_start(text).encode()
    if not name.isidentifier():
        raise NotPossible("unknown_application", f"{found.target} names no plain variable that could be replaced")
    return file, errs(text, name, found.kind, is_factory=found.factory, share=share).encode()


def _application(service: str, around: Surroundings) -> Detected:
    accepted = read_accepted(around.instance.paths)
    version = next((one["version"] for one in around.status["services"] if one["name"] == service), None)
    found = accepted.application(version, service) if accepted is not None and version is not None else None
    if found is None:
        raise NotPossible("unknown_application", f"{service} is started by a command: a drill does not know its code")
    return found
