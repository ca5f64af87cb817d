"""`colonnade plan --measure`: calibrates on the running system, says what it finds on the way, and remembers it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

from rich.markup import escape

from colonnade.cli.messages import out, print_warning
from colonnade.core.clock import SystemClock
from colonnade.core.errors import SpecError
from colonnade.core.files import make_directory, read_json, write_json_durably
from colonnade.drill.calibration.measure import Wishes, calibrate
from colonnade.drill.calibration.pinned import pinned
from colonnade.drill.machine import look_at_machine
from colonnade.planning.calibration import Calibration, calibration_from
from colonnade.planning.simulation.simulate import figures
from colonnade.spec.load import load_spec
from colonnade.system.client import ControlClient
from colonnade.system.paths import StatePaths
from colonnade.system.target import Target

SIMULATED_REQUESTS = 20_000
"""For each load that is verified: a second or two."""


def measure(target: Target, wishes: Wishes, *, is_quiet: bool) -> Calibration:
    """Measure, print as it goes, and write it down. Raises NotRunning where nothing runs."""
    if target.file is None:
        raise SpecError("there is nothing to measure", subject="--measure", hint="run it beside a colonnade.toml")
    spec = load_spec(target.file).spec
    with ControlClient(target.paths) as client:
        status = client.status()
    clock = SystemClock()

    def tell(text: str) -> None:
        if not is_quiet:
            out.print(f"  [dim]{escape(text)}[/]")

    about = look_at_machine(target.directory)
    with pinned(target.paths, status) as held:
        if held:
            tell(f"{', '.join(held)} stay as many as they are while they are measured")
        found = asyncio.run(
            calibrate(
                spec,
                status,
                wishes,
                at=datetime.fromtimestamp(clock.wall()).strftime("%Y-%m-%d %H:%M"),  # noqa: DTZ006 — the user's own
                machine=f"{about.cores} cores, {about.processor}",
                clock=clock,
                tell=tell,
                simulate=lambda model, load: figures(model, load, requests=SIMULATED_REQUESTS),
            )
        )
    path = calibration_path(target.paths)
    make_directory(path.parent, mode=0o755)
    write_json_durably(path, found.to_data())
    return found


def remembered(paths: StatePaths) -> Calibration | None:
    """The last calibration of this system; None where there is none, or one of another version."""
    data: Mapping[str, object] | None = read_json(calibration_path(paths))
    if data is None:
        return None
    try:
        return calibration_from(data)
    except (ValueError, KeyError, TypeError) as error:
        print_warning(f"the calibration in {calibration_path(paths)} cannot be read ({error}); `plan --measure` anew")
        return None


def calibration_path(paths: StatePaths) -> Path:
    return paths.root / "plan" / "calibration.json"
