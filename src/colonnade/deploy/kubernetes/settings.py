"""What an export for Kubernetes needs to know beside the declaration, and the numbers that are the same for all."""

from __future__ import annotations

from dataclasses import asdict, dataclass

ENDPOINT_REMOVAL_S = 5
"""A pod that is told to leave goes on as before for this long: until then everybody in the cluster knows. Usual are one
to two seconds (by feel; nobody publishes a bound)."""

GATEWAY_REMOVAL_S = 10
"""The same for a gateway, which clients outside reach by more steps."""

DRAIN_S = 3
"""Then its agent says `drain` for this long before it is stopped: the gateways ask five times a second."""

CHECK_INTERVAL_S = 1.0
"""Of a gateway's own checks at least. Each gateway checks each replica, and Kubernetes does, too."""

GATEWAY_MEMORY_MIB = 512

CPU_MILLI = 100
MEMORY_MIB = 128
MEMORY_MAX_MIB = 512
"""Of a replica of which nothing is known: what it is promised of a processor and of memory, and the bound of that.
Chosen so that small clusters can hold it; a plan that measured knows better."""

DATABASE_PORTS = (5432, 6432)
"""PostgreSQL's and pgbouncer's usual ones."""

API_PORTS = (443, 6443, 8443, 16443)
"""On which the API servers of common distributions listen."""


CHOICES = "colonnade.dev/choices"
"""On the ConfigMap of the gateways: what was chosen at the export that was applied last, for `deploy` to keep to."""

REMEMBERED = (
    *("gateways", "host", "ingress_class", "gateway_class"),
    *("service_type", "cluster_domain", "database_ports", "components"),
)


@dataclass(frozen=True, slots=True)
class Settings:
    """Choices of whoever exports. `components` are directories below components/ that are switched on."""

    image: str
    gateway_image: str
    namespace: str
    gateways: int = 2
    host: str = ""
    """The name under which visitors come; empty: any."""
    ingress_class: str = ""
    gateway_class: str = ""
    service_type: str = "ClusterIP"
    cluster_domain: str = "cluster.local"
    database_ports: tuple[int, ...] = DATABASE_PORTS
    components: tuple[str, ...] = ()

    @property
    def is_behind_proxy(self) -> bool:
        return bool({"ingress", "gateway-api"} & set(self.components))

    @property
    def choices(self) -> dict[str, object]:
        """What the next deployment has to know, or it would take it back."""
        return {name: value for name, value in asdict(self).items() if name in REMEMBERED}


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What was found beside the declaration. Names only: values of env files never come here."""

    env_file_keys: dict[str, tuple[str, ...]]
    """By service."""
    pages: dict[str, frozenset[str]]
    """By service: those of /readyz and /livez that its code names."""
    memory_bytes: dict[str, int]
    cpu_cores: dict[str, float]
    """Of one replica, by service, where a plan knows."""
