"""Spans, where somebody collects them; and the headers that carry a trace to the next service.

OpenTelemetry is loaded when OTEL_EXPORTER_OTLP_ENDPOINT (or its like for traces) says where to, or when the application
has loaded it itself; then its own provider is used. Otherwise nothing of it is imported, a span is an `if`, and what
came with a request is passed on as it is. Nothing here ever keeps a request from being answered.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Literal

from colonnade.client.trace_context import TraceContext, current_context, within

if TYPE_CHECKING:
    from opentelemetry.trace import Span, Tracer

ENDPOINT_VARIABLES = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
PROTOCOL_VARIABLES = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
PROTOCOL = "http/protobuf"

SCOPE = "colonnade.client"
"""Whose spans these are, in OpenTelemetry's words the instrumentation scope."""

log = logging.getLogger("colonnade.client")

Value = str | bool | int | float
Kind = Literal["server", "client"]

_lock = threading.Lock()
_tracer: Tracer | None = None
_is_asked = False


def trace_headers() -> dict[str, str]:
    """To be sent with a call to another service, so that it belongs to the same trace; empty outside of one."""
    context = _of_span() or current_context()
    return context.headers() if context is not None else {}


def sql_comment() -> str:
    """`traceparent='…'` for a statement within a trace that is recorded; else empty. Digits and dashes of our own
    writing: nothing that could end the comment."""
    context = _of_span() or current_context()
    return f"traceparent='{context.traceparent}'" if context is not None and context.is_sampled else ""


@contextmanager
def serving(method: str, path: str, came_with: TraceContext | None, request_id: str = "") -> Iterator[ServerSpan]:
    """Answer a request: what happens within belongs to its trace. Records a span unless somebody else has begun one
    for this request."""
    tracer = _the_tracer()
    with within(came_with):
        if tracer is None or _of_span() is not None:
            yield ServerSpan(None)
            return
        attributes: dict[str, Any] = {"http.request.method": method, "url.path": path}
        if request_id:
            attributes["http.request.header.x-request-id"] = (request_id,)
        with _started(tracer, method, "server", attributes, came_with) as span:
            yield ServerSpan(span)


class ServerSpan:
    """Of a request; does nothing where none is recorded."""

    def __init__(self, span: Span | None) -> None:
        self._span = span

    def answered(self, status: int) -> None:
        if self._span is None:
            return
        from opentelemetry.trace import Status, StatusCode

        self._span.set_attribute("http.response.status_code", status)
        if status >= 500:
            self._span.set_status(Status(StatusCode.ERROR))


@contextmanager
def database_span(operation: Literal["read", "write"]) -> Iterator[None]:
    """One read or write of the database, with all its attempts."""
    tracer = _the_tracer()
    if tracer is None:
        yield
        return
    attributes = {"db.system.name": "postgresql", "db.operation.name": operation}
    with _started(tracer, f"database {operation}", "client", attributes, current_context()):
        yield


def note(name: str, **attributes: Value) -> None:
    """Something that happened within the span that is open here, such as an attempt that failed."""
    if _tracer is not None:
        from opentelemetry.trace import get_current_span

        get_current_span().add_event(name, {f"colonnade.{key}": value for key, value in attributes.items()})


def describe(**attributes: Value) -> None:
    """What is known of the span that is open here."""
    if _tracer is not None:
        from opentelemetry.trace import get_current_span

        get_current_span().set_attributes({f"colonnade.{key}": value for key, value in attributes.items()})


def is_wanted(environ: Mapping[str, str]) -> bool:
    """Whether spans have somewhere to go."""
    if environ.get("OTEL_SDK_DISABLED", "").lower() == "true" or environ.get("OTEL_TRACES_EXPORTER") == "none":
        return False
    return any(environ.get(name) for name in ENDPOINT_VARIABLES)


def load() -> None:
    """Import what will be needed, where spans are wanted: a quarter of a second that no request should wait for. Starts
    nothing yet."""
    if is_wanted(os.environ) and find_spec("opentelemetry") is not None:
        with suppress(ImportError):  # told when the first request is answered
            import_module("opentelemetry.exporter.otlp.proto.http.trace_exporter")


def _the_tracer() -> Tracer | None:
    """Made when first asked for: a server that forks has done so by then."""
    global _tracer, _is_asked
    if not _is_asked:
        with _lock:
            if not _is_asked:
                _tracer = _make_tracer(os.environ)
                _is_asked = True
    return _tracer


def _make_tracer(environ: Mapping[str, str]) -> Tracer | None:
    if not is_wanted(environ) and "opentelemetry.sdk.trace" not in sys.modules:
        return None
    try:
        from opentelemetry import trace
    except ImportError:
        log.warning("no spans: OpenTelemetry is not installed; pip install 'colonnade[otel]'")
        return None
    if isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider) and not _provide(environ):
        return None
    return trace.get_tracer(SCOPE)


def _provide(environ: Mapping[str, str]) -> bool:
    """Have spans exported as the environment says; False, and told in the log, where that cannot be."""
    if not is_wanted(environ):
        return False
    protocol = next((environ[name] for name in PROTOCOL_VARIABLES if environ.get(name)), PROTOCOL)
    if protocol != PROTOCOL:
        log.warning("no spans: the protocol is %s, and colonnade.client speaks %s", protocol, PROTOCOL)
        return False
    try:
        from opentelemetry import trace
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError as error:
        log.warning("no spans: %s is missing; pip install 'colonnade[otel]'", error.name)
        return False
    # The queue is the SDK's, bounded (2,048 spans): what comes faster than it goes out is dropped.
    provider = TracerProvider(resource=Resource.create(resource_attributes(environ)))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(provider)
    return True


def resource_attributes(environ: Mapping[str, str]) -> dict[str, str]:
    """Who we are, from what Colonnade tells a replica (`backend/3`, its version). OTEL_SERVICE_NAME and
    OTEL_RESOURCE_ATTRIBUTES win: the SDK reads them itself."""
    replica = environ.get("COLONNADE_REPLICA", "")
    service, _, _ = replica.partition("/")
    found = {
        "service.name": environ.get("OTEL_SERVICE_NAME") or service,
        "service.instance.id": replica,
        "service.version": environ.get("COLONNADE_VERSION", ""),
    }
    declared = {pair.partition("=")[0].strip() for pair in environ.get("OTEL_RESOURCE_ATTRIBUTES", "").split(",")}
    return {name: value for name, value in found.items() if value and name not in declared}


@contextmanager
def _started(
    tracer: Tracer, name: str, kind: Kind, attributes: Mapping[str, Any], came_with: TraceContext | None
) -> Iterator[Span]:
    """A span below the one that is open here, else below the caller's, else the first of a trace."""
    from opentelemetry.trace import SpanKind, Status, StatusCode

    kinds = {"server": SpanKind.SERVER, "client": SpanKind.CLIENT}
    parent = None if _of_span() is not None or came_with is None else _as_parent(came_with)
    # What exceptions say is not told: the text of a database error may hold what somebody typed.
    with tracer.start_as_current_span(
        name,
        context=parent,
        kind=kinds[kind],
        attributes=attributes,
        record_exception=False,
        set_status_on_exception=False,
    ) as span:
        try:
            yield span
        except Exception as error:
            span.set_attribute("error.type", type(error).__qualname__)
            span.set_status(Status(StatusCode.ERROR))
            raise


def _as_parent(came_with: TraceContext) -> Any:
    """The caller's span, in OpenTelemetry's own form."""
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    return TraceContextTextMapPropagator().extract(came_with.headers())


def _of_span() -> TraceContext | None:
    """The context of the span that is open here, whoever began it."""
    if "opentelemetry.trace" not in sys.modules:
        return None
    from opentelemetry.trace import get_current_span

    found = get_current_span().get_span_context()
    if not found.is_valid:
        return None
    return TraceContext(
        f"{found.trace_id:032x}", f"{found.span_id:016x}", found.trace_flags.sampled, found.trace_state.to_header()
    )
