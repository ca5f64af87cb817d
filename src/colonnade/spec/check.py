"""Checks across keys and tables, after each key by itself was found good. Pure: no file, no environment.

The rule throughout: what would be silently ignored is refused, and what would surprise is a warning.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from colonnade.spec.check_database import check_database
from colonnade.spec.check_drill import check_drill, drill_warnings
from colonnade.spec.check_plan import check_plan
from colonnade.spec.derive import DATABASE, find_cycle, url_variables
from colonnade.spec.envfile import NAME
from colonnade.spec.model import ScalingSpec, ServiceSpec, Spec
from colonnade.spec.problem import Problem, suggestion
from colonnade.spec.syntax import parse_listen

RESERVED_NAMES = frozenset(
    {"all", "controller", "dashboard", "database", "database-read", "dbgate", "gateway", "keeper", "system"}
)
"""Names of Colonnade's own parts, and those whose <NAME>_URL is the database's."""


def check_spec(spec: Spec) -> list[Problem]:
    """All that is wrong between the tables, in the order of the file. Empty: the declaration is good."""
    problems: list[Problem] = []
    if not spec.services:
        problems.append(
            Problem(
                ("services",),
                "there is no service",
                hint='add a table [services.web] with app = "module:app" and route = "/", or run `colonnade init`',
            )
        )
    for name, service in spec.services.items():
        for check in _SERVICE_CHECKS:
            problems.extend(check(name, service, spec))
    problems.extend(_same_route(spec))
    cycle = find_cycle(spec)
    if cycle is not None:
        problems.append(
            Problem(
                ("services", cycle[0], "uses"),
                f"services use each other in a circle: {' → '.join(cycle)}",
                hint="take one arrow out: in a circle none can start first, and one that hangs takes all with it",
            )
        )
    if spec.database is not None:
        problems.extend(check_database(spec.database))
    problems.extend(_same_address(spec))
    problems.extend(_unseen(spec))
    problems.extend(check_drill(spec))
    problems.extend(check_plan(spec))
    return problems


def check_variables(where: tuple[str | int, ...], variables: Mapping[str, str], service: ServiceSpec) -> list[Problem]:
    """Names in `env` or an env file that cannot be used, or would hide what Colonnade sets. Never shows a value."""
    given_by_uses = set(url_variables(service))
    problems = []
    for name, value in variables.items():
        key = (*where, name)
        if NAME.fullmatch(name) is None:
            problems.append(Problem(key, "expected a name of letters, digits and underscores, such as LOG_LEVEL"))
        elif name in ("HOST", "PORT") or name.startswith("COLONNADE_"):
            problems.append(Problem(key, "is set by Colonnade for each replica", hint="choose another name"))
        elif name in given_by_uses:
            problems.append(Problem(key, "is set by `uses`", hint="take it out here, or the name out of `uses`"))
        elif "\0" in value:
            problems.append(Problem(key, "expected a value without a null character"))
    return problems


def _one_way_to_start(name: str, service: ServiceSpec, spec: Spec) -> Iterator[Problem]:
    if service.app and service.command:
        yield Problem(
            ("services", name),
            "has both `app` and `command`",
            hint="keep `app` for a Python application, `command` for any other server",
        )
    if not service.app and not service.command:
        yield Problem(
            ("services", name),
            "has neither `app` nor `command`",
            hint='say what to run: app = "module:app", or command = "server --port $PORT"',
        )
    if service.command and not service.app and "kind" in service.model_fields_set:
        yield Problem(("services", name, "kind"), "is for `app`; a `command` speaks HTTP in its own way")


def _good_name(name: str, service: ServiceSpec, spec: Spec) -> Iterator[Problem]:
    if name in RESERVED_NAMES:
        yield Problem(
            ("services", name),
            "is the name of a part of Colonnade",
            hint=f"choose another, such as `{name}-service`; reserved are {', '.join(sorted(RESERVED_NAMES))}",
        )


def _uses_exist(name: str, service: ServiceSpec, spec: Spec) -> Iterator[Problem]:
    key = ("services", name, "uses")
    for index, used in enumerate(service.uses):
        if used in service.uses[:index]:
            yield Problem((*key, index), f"names `{used}` twice")
        elif used == DATABASE:
            if spec.database is None:
                yield Problem(
                    (*key, index),
                    "names `database`, but there is no [database]",
                    hint="add a line [database]; the defaults give a primary and two standbys",
                )
        elif used not in spec.services:
            others = [other for other in (*spec.services, DATABASE) if other != name]
            yield Problem(
                (*key, index), f"there is no service `{used}`", hint=suggestion(used, others, what="there are")
            )


def _weights_fit(name: str, service: ServiceSpec, spec: Spec) -> Iterator[Problem]:
    given = service.model_fields_set
    if "weights" in given and "replicas" in given:
        yield Problem(
            ("services", name, "weights"),
            "and `replicas` both say how many replicas there are",
            hint="keep `weights` when replicas differ in size, else `replicas`",
        )
    if service.balance == "weighted" and not service.weights:
        yield Problem(
            ("services", name, "balance"),
            'is "weighted", but there are no `weights`',
            hint="add weights = [{ replicas = 1, weight = 3 }, { replicas = 1, weight = 1 }]",
        )


def _bounds_in_order(name: str, service: ServiceSpec, spec: Spec) -> Iterator[Problem]:
    replicas = service.replicas
    if replicas.min > replicas.max:
        yield Problem(
            ("services", name, "replicas", "min"),
            f"expected at most max = {replicas.max}, got {replicas.min}",
        )


def _hash_is_used(name: str, service: ServiceSpec, spec: Spec) -> Iterator[Problem]:
    if "hash_by" in service.model_fields_set and service.balance != "consistent-hash":
        yield Problem(
            ("services", name, "hash_by"),
            f'has no effect with balance = "{service.balance}"',
            hint='add balance = "consistent-hash", or take `hash_by` out',
        )


def _static_has_a_server(name: str, service: ServiceSpec, spec: Spec) -> Iterator[Problem]:
    if service.static and service.command and not service.app:
        yield Problem(
            ("services", name, "static"), "is for `app`; a `command` serves its files itself", hint="take it out"
        )
    if service.static_max_age_s != ServiceSpec.model_fields["static_max_age_s"].default and not service.static:
        yield Problem(("services", name, "static_max_age"), "has no effect without `static`", hint="take it out")


def _static_hides_nothing(name: str, service: ServiceSpec, spec: Spec) -> Iterator[Problem]:
    """At and below such a route the server looks for a file and never asks the application."""
    for route in service.static:
        key = ("services", name, "static", route)
        if route.rstrip("/") == service.route.rstrip("/") or not route.startswith(service.route.rstrip("/") + "/"):
            under = f"{service.route.rstrip('/')}/static"
            yield Problem(
                key,
                f'expected a path below the route "{service.route or "/"}"',
                hint=f'such as "{under}": at the route itself files would hide the application',
            )
        elif f"{service.health.path}/".startswith(f"{route}/"):
            yield Problem(
                key,
                f"would answer the health check {service.health.path}, which is the application's to answer",
                hint="choose another path, or another services." + name + ".health.path",
            )


def _scaling_has_room(name: str, service: ServiceSpec, spec: Spec) -> Iterator[Problem]:
    if service.scaling != ScalingSpec() and service.replicas.min >= service.replicas.max:
        yield Problem(
            ("services", name, "scaling"),
            "has no effect with a fixed number of replicas",
            hint="give bounds: replicas = { min = 2, max = 8 }",
        )
    for index, entry in enumerate(service.scaling.schedule):
        if not service.replicas.min <= entry.min <= service.replicas.max:
            yield Problem(
                ("services", name, "scaling", "schedule", index, "min"),
                f"expected {service.replicas.min} to {service.replicas.max}, as in `replicas`, got {entry.min}",
            )


def _good_variables(name: str, service: ServiceSpec, spec: Spec) -> Iterator[Problem]:
    yield from check_variables(("services", name, "env"), service.env, service)
    for index, group in enumerate(service.weights):
        yield from check_variables(("services", name, "weights", index, "env"), group.env, service)


_SERVICE_CHECKS: tuple[Callable[[str, ServiceSpec, Spec], Iterator[Problem]], ...] = (
    _good_name,
    _one_way_to_start,
    _uses_exist,
    _weights_fit,
    _bounds_in_order,
    _hash_is_used,
    _static_has_a_server,
    _static_hides_nothing,
    _scaling_has_room,
    _good_variables,
)


def _same_route(spec: Spec) -> Iterator[Problem]:
    owners: dict[str, str] = {}
    for name, service in spec.services.items():
        if service.route and service.route in owners:
            yield Problem(
                ("services", name, "route"),
                f'is "{service.route}", which `{owners[service.route]}` has already',
                hint="give each public service a prefix of its own; the longest one wins",
            )
        elif service.route:
            owners[service.route] = name


def _same_address(spec: Spec) -> Iterator[Problem]:
    if spec.dashboard.listen is not None and spec.dashboard.listen == spec.gateway.listen:
        yield Problem(
            ("dashboard", "listen"),
            f'is "{spec.dashboard.listen}", where the gateway listens',
            hint="give the dashboard a port of its own, or leave `listen` out: then one is chosen",
        )


def _unseen(spec: Spec) -> Iterator[Problem]:
    if spec.prometheus.enabled and not spec.dashboard.enabled:
        yield Problem(
            ("prometheus", "enabled"),
            "is true, but it would watch through the dashboard, and there is none",
            hint="leave [dashboard] enabled = true",
        )


def warnings_of(spec: Spec) -> list[str]:
    """What is allowed but deserves a sentence at the start. The database's own are in `check_database`."""
    warnings = []
    address = parse_listen(spec.gateway.listen)
    if not address.is_loopback:
        warnings.append(
            f"gateway.listen: {address} can be reached from other machines, without TLS: "
            "keep it behind a firewall or a proxy that adds TLS"
        )
    if spec.dashboard.listen is not None and not parse_listen(spec.dashboard.listen).is_loopback:
        warnings.append(
            f"dashboard.listen: {spec.dashboard.listen} can be reached from other machines, without TLS: "
            "keep it behind a firewall or a proxy that adds TLS"
        )
    if spec.services and not any(service.route for service in spec.services.values()):
        warnings.append(
            'services: none has a `route`, so the gateway answers 404 to everything; add route = "/" to one'
        )
    for name, service in spec.services.items():
        if service.replicas.max == 1 and service.route:
            warnings.append(f"services.{name}.replicas: with 1 replica nothing takes over while it restarts")
    if spec.database is not None and not any(DATABASE in service.uses for service in spec.services.values()):
        warnings.append('database: no service uses it; add uses = ["database"] to those that do')
    return warnings + drill_warnings(spec)
