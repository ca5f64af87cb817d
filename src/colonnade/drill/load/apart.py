"""Sends load from a process of its own, so that the caller's work and the generator do not delay each other.

Both ends are here. The caller writes the job as one line to the child's standard input and keeps that open; closing
it means stop, so a caller that dies ends its load too. The child answers once, at the end, with the whole history:
it writes nothing while it measures, because a full pipe would make it wait.
Read next: `runner`, which the child runs.
"""

import asyncio
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from colonnade.core.errors import Bug
from colonnade.drill.load.history import History, from_lines, to_lines
from colonnade.drill.load.plan import Plan
from colonnade.drill.load.process import run_generator
from colonnade.drill.load.runner import ignore, run_load
from colonnade.drill.load.tally import Tally
from colonnade.drill.load.target import Target

START_S = 2.0
"""How far ahead `start_at` should lie: a Python process with its imports is up in half a second, twice that on a
busy machine."""


@dataclass(frozen=True, slots=True)
class _Job:
    plan: Plan
    target: Target
    known_ids: tuple[str, ...]
    start_at: float | None
    tally: int | None = None
    """Descriptor of the caller's `Tally`, which the child has under the same number."""

    def to_line(self) -> str:
        fields = {"target": asdict(self.target), "known_ids": self.known_ids, "start_at": self.start_at}
        return json.dumps({"plan": self.plan.to_json(), **fields, "tally": self.tally}) + "\n"

    @staticmethod
    def from_line(line: bytes) -> "_Job":
        fields = json.loads(line)
        plan, target = Plan.from_json(fields["plan"]), Target(**fields["target"])
        return _Job(plan, target, tuple(fields["known_ids"]), fields["start_at"], fields["tally"])


async def run_load_apart(
    plan: Plan,
    target: Target,
    *,
    known_ids: Sequence[str] = (),
    start_at: float | None = None,
    stop: asyncio.Event | None = None,
    tally: Tally | None = None,
) -> History:
    """Like `run_load`, in a child process. All times in the history are of the same clock as the caller's own; `tally`
    can be read meanwhile.

    With `start_at` (see START_S) the caller knows beforehand when the load begins, and can time faults by it. When
    cancelled, the child is killed. Raises Bug when the child ends without a history.
    """
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "colonnade.drill.load.apart"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        pass_fds=() if tally is None else (tally.descriptor,),
        start_new_session=True,  # Ctrl-C is for the caller, who then says stop
    )
    if child.stdin is None or child.stdout is None or child.stderr is None:
        raise Bug("the pipes to the load generator are missing")
    job = _Job(plan, target, tuple(known_ids), start_at, None if tally is None else tally.descriptor)
    stopper = asyncio.create_task(_close_on(stop or asyncio.Event(), child.stdin))
    try:
        child.stdin.write(job.to_line().encode())
        answer, complaint = await asyncio.gather(child.stdout.read(), child.stderr.read())
        exit_code = await child.wait()
    finally:
        stopper.cancel()
        child.stdin.close()
        if child.returncode is None:
            child.kill()
            await child.wait()
    if exit_code != 0:
        raise Bug(f"the load generator ended with {exit_code}: {complaint.decode(errors='replace')[-2_000:]}")
    # In a thread, because a long ledger takes seconds to read, and the caller has other things to watch.
    return await asyncio.to_thread(lambda: from_lines(answer.decode().splitlines()))


async def _close_on(stop: asyncio.Event, writer: asyncio.StreamWriter) -> None:
    await stop.wait()
    writer.close()


class _StopOnEnd(asyncio.Protocol):
    """Sets the event when the caller closes its end, on purpose or by dying."""

    def __init__(self, stop: asyncio.Event) -> None:
        self._stop = stop

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop.set()


async def _serve(job: _Job) -> History:
    stop = asyncio.Event()
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(lambda: _StopOnEnd(stop), sys.stdin)
    observe = Tally(job.tally).count if job.tally is not None else ignore
    try:
        return await run_load(
            job.plan, job.target, known_ids=job.known_ids, start_at=job.start_at, observe=observe, stop=stop
        )
    finally:
        transport.close()


def main() -> None:
    """Entry point of the child."""
    job = _Job.from_line(sys.stdin.buffer.readline())
    history = run_generator(_serve(job), in_flight_max=job.plan.in_flight_max)
    sys.stdout.writelines(line + "\n" for line in to_lines(history))


if __name__ == "__main__":
    main()
