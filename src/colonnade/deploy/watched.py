"""Where the dashboard of a system answers, for who is to watch it from outside."""

from __future__ import annotations

from colonnade.core.errors import SpecError
from colonnade.core.files import read_json
from colonnade.spec.load import LoadedSpec
from colonnade.spec.syntax import ListenAddress, parse_listen
from colonnade.system.paths import StatePaths


def dashboard_address(loaded: LoadedSpec, paths: StatePaths, told: str = "") -> ListenAddress:
    """As told, else as declared, else as chosen at the first start. Raises SpecError where there is none yet."""
    if told:
        try:
            return parse_listen(told)
        except ValueError as error:
            raise SpecError(f"{error}", subject="--dashboard", hint="for example --dashboard 127.0.0.1:8081") from None
    declared = loaded.spec.dashboard
    if not declared.enabled:
        raise SpecError(
            "nothing can be seen of a system without a dashboard",
            subject="dashboard.enabled",
            hint="leave it out, or set it to true",
        )
    if declared.listen is not None:
        return _reachable(parse_listen(declared.listen))
    known = read_json(paths.dashboard / "address.json")
    if known is None:
        raise SpecError(
            "it is not known yet where the dashboard will listen",
            subject="dashboard.listen",
            hint='name a port in colonnade.toml ([dashboard] listen = "127.0.0.1:8081"), or `colonnade up` once before',
        )
    return ListenAddress(str(known["host"]), int(known["port"]))


def _reachable(address: ListenAddress) -> ListenAddress:
    """Who listens on every address is asked on loopback."""
    everywhere = {"0.0.0.0": "127.0.0.1", "::": "::1"}
    return ListenAddress(everywhere.get(address.host, address.host), address.port)
