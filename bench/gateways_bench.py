"""What every comparison of gateways runs in: directories, ports, the two cores, and an end to all that was started."""

from __future__ import annotations

import asyncio
import shutil
import signal
import statistics
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

from gateways_backends import Backends
from gateways_proxy import OTHERS_CORE, PROXY_CORE, Place, Proxy, on_core, until_served_by

from colonnade.core.ports import PortAllocator

AnyProxy = TypeVar("AnyProxy", bound=Proxy)


class Bench:
    """Directories and ports; every gateway and backend is gone when it is."""

    def __init__(self) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="colonnade-bench-"))
        self.directory.chmod(0o755)
        self.ports = PortAllocator(str(self.directory))

    @asynccontextmanager
    async def running(
        self, make: Callable[[Place], AnyProxy], backends: Backends
    ) -> AsyncIterator[tuple[Place, AnyProxy]]:
        """A gateway of its own for each use, serving from all the backends."""
        place = self._place()
        proxy = make(place)
        try:
            await proxy.start(backends.addresses())
            await until_served_by(place.url, backends.names())
            yield place, proxy
        except TimeoutError as error:
            raise RuntimeError(f"{error}\n{_last_words(place.directory)}") from error
        finally:
            await proxy.stop()

    def _place(self) -> Place:
        directory = Path(tempfile.mkdtemp(prefix="gateway-", dir=self.directory))
        directory.chmod(0o755)
        return Place(directory, self.ports.take(), self.ports.take())


def _last_words(directory: Path) -> str:
    return "\n".join(f"{path.name}: {path.read_text(errors='replace')[-1500:]}" for path in directory.glob("*log"))


def run_bench(work: Callable[[Bench], Awaitable[dict[str, Any]]]) -> dict[str, Any]:
    if PROXY_CORE == OTHERS_CORE:
        raise SystemExit("two cores are needed: one for the gateway, one for the rest")

    async def main() -> dict[str, Any]:
        # As Ctrl-C does by itself: what was started is ended on the way out.
        if (task := asyncio.current_task()) is not None:
            asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
        return await work(bench)

    bench = Bench()
    try:
        with on_core(OTHERS_CORE):
            return asyncio.run(main())
    finally:
        shutil.rmtree(bench.directory, ignore_errors=True)


def spread(values: Sequence[float], digits: int) -> dict[str, float]:
    return {
        "n": len(values),
        "median": round(statistics.median(values), digits),
        "min": round(min(values), digits),
        "max": round(max(values), digits),
    }
