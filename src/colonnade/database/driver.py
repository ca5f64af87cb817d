"""What the controller needs from the nodes, the endpoints and the disk, as protocols.

`postgres.py` implements `DatabaseDriver` on real servers, `fake.py` in memory; both pass `tests/contract/`.
Rules for every method: repeating it is safe; waiting inside is bounded; failures are DriverError (an engine answered
wrongly), DriverUnavailable (it did not answer: try again) or HostError (the machine refuses).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from colonnade.database.state import ClusterRecord, Disk, NodeName, ObservedNode, Routes
from colonnade.spec.model import DatabaseSpec


@dataclass(frozen=True, slots=True)
class DatabasePaths:
    """Where the database lives.

    `root` holds `nodes/<name>` (data directories), `record.json`, `history/` and the secrets (0600); `logs` one
    `db-<name>.log` per node; `sockets` is a short private directory owned by the user that PostgreSQL runs as.
    """

    root: Path
    logs: Path
    sockets: Path

    def node(self, name: NodeName) -> Path:
        return self.root / "nodes" / name

    @property
    def history(self) -> Path:
        return self.root / "history"

    @property
    def ballast(self) -> Path:
        return self.root / "ballast"

    @property
    def record(self) -> Path:
        return self.root / "record.json"


class Endpoints(Protocol):
    """What leads clients to nodes: in production the gateway for PostgreSQL."""

    async def publish(self, routes: Routes) -> None:
        """Make the endpoints lead there; returns when that is so and sessions to nodes that lost their role are shut.

        `primary` None: nowhere, clients wait in the gateway. Raises DriverUnavailable.
        """
        ...

    def lead_nowhere(self) -> bool:
        """Nothing answers at the endpoints yet, also nothing that an earlier controller left running."""
        ...


class DatabaseDriver(Protocol):
    """Everything that is done to nodes. One driver has the whole cluster, for it alone knows all directories."""

    def set_waker(self, wake: Callable[[], None]) -> None:
        """Call `wake` from the event loop as soon as a server's process or a clone or rewind ends."""
        ...

    def configure(self, record: ClusterRecord) -> None:
        """Who the members are and whose acknowledgement a COMMIT waits for, from now on: for every configuration
        written later. Called before `open` and whenever the record's members or quorum change."""
        ...

    def set_spec(self, spec: DatabaseSpec) -> None:
        """The declared settings for every configuration written later."""
        ...

    async def check_settings(self, spec: DatabaseSpec) -> None:
        """Ask the engine whether it would start with these. Raises SpecError with its own words."""
        ...

    async def open(self) -> None:
        """Check the machine (binaries, owners, versions), and adopt servers that an earlier controller started.
        Tools that it left at work are killed. Raises HostError with a hint when the cluster cannot run here."""
        ...

    async def observe(self) -> Mapping[NodeName, ObservedNode]:
        """Look at every member at once, bounded by the slowest answer or OBSERVE_S_MAX. Never raises for one node:
        what does not answer is observed as not answering."""
        ...

    def disk(self) -> Disk | None:
        """The file system that the cluster is on; None when it cannot be asked."""
        ...

    async def set_ballast(self, *, is_there: bool) -> None:
        """Make the ballast file or remove it; no-op when it is so. Raises HostError."""
        ...

    async def create(self) -> str:
        """Make empty data directories for all members, identical in content, and return the system identifier.
        Whatever stood there is thrown away: only called while the record says that nothing of value exists."""
        ...

    async def prepare(self, node: NodeName) -> None:
        """Make the roles and the database on a primary, or find them made, and make the new cluster durable on disk."""
        ...

    async def start_primary(self, node: NodeName) -> None:
        """Start the server out of standby mode; no-op when it runs. Returns before it answers."""
        ...

    async def start_standby(self, node: NodeName, upstream: NodeName | None) -> None:
        """Start the server in standby mode; no-op when it runs. Its configuration is written anew. Returns before it
        answers. With `upstream` None it replays what it has and stands still."""
        ...

    async def fence(self, node: NodeName) -> None:
        """Return only when no process of the node is left, its directory is marked so that a start by hand gives no
        primary, and its timeline histories are kept. Frozen and busy processes do not hold it up.
        Raises HostError when the kernel does not let a process die."""
        ...

    async def quiesce(self, node: NodeName) -> None:
        """Make a running standby follow nobody. Returns at once; `ObservedNode.is_quiet` says when it stands still."""
        ...

    async def end_sessions(self, node: NodeName) -> None:
        """End all clients' sessions on the node; the controller's own stay."""
        ...

    async def follow(self, node: NodeName, upstream: NodeName) -> None:
        """Make a running standby follow `upstream` under its own name. Returns before it streams."""
        ...

    async def promote(self, node: NodeName) -> None:
        """End its client sessions and make it leave recovery; no-op when it has. Returns when it has.
        Raises DriverUnavailable after PROMOTE_S_MAX: it may then still happen."""
        ...

    async def reconfigure(self, node: NodeName) -> None:
        """Write a running node's configuration anew and have it loaded; what needs a restart waits for one."""
        ...

    async def restart_walsenders(self, node: NodeName) -> None:
        """End the walsenders of this primary; standbys connect again by themselves."""
        ...

    async def probe_links(self) -> None:
        """Try which members can open a replication connection to which; `ObservedNode.reached_from` has the answer."""
        ...

    async def checkpoint(self, node: NodeName) -> None:
        """Return when a checkpoint of this primary is complete. Bounded by a minute; may run beside everything else."""
        ...

    async def remove(self, node: NodeName) -> None:
        """Remove the data of a node that is no member any more and was fenced."""
        ...

    async def keep_history(self, node: NodeName) -> None:
        """Copy its timeline histories durably to where every node's restore_command looks."""
        ...

    def rejoin(self, node: NodeName, upstream: NodeName, generation: int) -> None:
        """Begin to rewind a fenced node onto `upstream`; `ObservedNode.operation` is `rewind` until it ends, then
        `restored_generation` is `generation` or `failures` has grown. The server is not started."""
        ...

    def clone(self, node: NodeName, upstream: NodeName, generation: int) -> None:
        """Begin to copy `upstream`, under a name that has no vote; as `rejoin`, with the operation `clone`."""
        ...

    async def stop(self, node: NodeName, *, grace_period_s: float) -> None:
        """Stop the server with a last checkpoint; after the grace period as `fence` does, without the mark.
        Nothing is left: no process, no shared memory, no socket."""
        ...

    async def close(self) -> None:
        """Let go of connections and handles and cancel clones and rewinds; servers go on running."""
        ...
