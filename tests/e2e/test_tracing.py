"""A trace through the gateway, two services and the database, as a collector gets it: a real one, by OTLP over HTTP."""

from __future__ import annotations

import gzip
import http.client
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from .harness import Runner

pytest.importorskip("opentelemetry.proto", reason="OpenTelemetry is not installed: pip install 'colonnade[otel]'")

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
CALLER = "00f067aa0ba902b7"

FRONT = """
import os
import urllib.request

from colonnade.client import WsgiTraceMiddleware, trace_headers


def answer(environ, start_response):
    request = urllib.request.Request(os.environ["BACK_URL"] + "/rows", headers=trace_headers())
    with urllib.request.urlopen(request) as reply:
        body = reply.read()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]


app = WsgiTraceMiddleware(answer)
"""

BACK = """
from sqlalchemy import text

from colonnade.client import TraceMiddleware, trace_headers
from colonnade.client.aio import Database

database = Database.from_environ()


async def answer(scope, receive, send):
    assert scope["type"] == "http"

    async def work(session):
        mine = text("SELECT query FROM pg_stat_activity WHERE pid = pg_backend_pid()")
        return (await session.execute(mine)).scalar_one()

    if scope["path"] == "/rows":
        body = (await database.read(work)).value.encode()
    else:
        body = b"ok"
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": body})


app = TraceMiddleware(answer)
"""

DECLARED = """
trust_trace_context = {trust}

[system]
name = "shop"

[services.front]
app = "front:app"
kind = "wsgi"
route = "/"
replicas = 1
uses = ["back"]
env = {{ OTEL_BSP_SCHEDULE_DELAY = "100" }}

[services.back]
app = "back:app"
kind = "asgi"
replicas = 1
uses = ["database"]
env = {{ OTEL_BSP_SCHEDULE_DELAY = "100", DATABASE_SQL_COMMENTS = "1" }}

[database]
standbys = 0

[tracing]
endpoint = "http://127.0.0.1:{collector}"
"""


class Collector:
    """Takes spans as any collector does, and keeps them."""

    def __init__(self) -> None:
        self.spans: list[dict[str, Any]] = []
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                collector.take(gzip.decompress(body) if self.headers.get("Content-Encoding") == "gzip" else body)
                self.send_response(200)
                self.send_header("Content-Type", "application/x-protobuf")
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)

    def take(self, body: bytes) -> None:
        from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            about = {each.key: each.value.string_value for each in resource.resource.attributes}
            self.spans += [
                {
                    "service": about["service.name"],
                    "replica": about["service.instance.id"],
                    "namespace": about["service.namespace"],
                    "name": span.name,
                    "kind": span.kind,
                    "trace": span.trace_id.hex(),
                    "id": span.span_id.hex(),
                    "parent": span.parent_span_id.hex(),
                    "attributes": {each.key: each.value for each in span.attributes},
                }
                for scope in resource.scope_spans
                for span in scope.spans
            ]

    def of(self, trace: str) -> dict[tuple[str, str], dict[str, Any]]:
        return {(span["service"], span["name"]): span for span in self.spans if span["trace"] == trace}

    def at(self, path: str) -> list[dict[str, Any]]:
        return [
            span for span in self.spans if span["name"] == "GET" and span["attributes"]["url.path"].string_value == path
        ]


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    made = Collector()
    made.thread.start()
    try:
        yield made
    finally:
        made.server.shutdown()
        made.server.server_close()
        made.thread.join()


@pytest.fixture(scope="module")
def system(make_runner: Callable[[], Runner], collector: Collector) -> Runner:
    runner = make_runner()
    runner.write("front.py", FRONT)
    runner.write("back.py", BACK)
    runner.declare(DECLARED.format(trust="true", collector=collector.port))
    runner.up()
    return runner


def ask(runner: Runner, path: str = "/", **headers: str) -> tuple[int, str, str]:
    """Status, body and request id."""
    connection = http.client.HTTPConnection("127.0.0.1", runner.port, timeout=20)
    try:
        connection.request("GET", path, headers=headers)
        response = connection.getresponse()
        return response.status, response.read().decode(), response.headers["X-Request-ID"]
    finally:
        connection.close()


def test_a_visitors_trace_goes_through_gateway_services_and_database(system: Runner, collector: Collector) -> None:
    status, statement, request_id = ask(system, traceparent=f"00-{TRACE}-{CALLER}-01", tracestate="shop=1")
    assert status == 200
    system.wait_until(lambda: len(collector.of(TRACE)) == 3, f"three spans have come; there are {collector.spans}")
    spans = collector.of(TRACE)
    front, back, read = spans["front", "GET"], spans["back", "GET"], spans["back", "database read"]
    assert front["parent"] == CALLER
    assert back["parent"] == front["id"]
    assert read["parent"] == back["id"]
    assert f"/*traceparent='00-{TRACE}-{read['id']}-01'*/" in statement
    assert (front["replica"], back["replica"], front["namespace"]) == ("front/1", "back/1", "shop")
    assert front["attributes"]["http.response.status_code"].int_value == 200
    assert request_id in str(front["attributes"]["http.request.header.x-request-id"])
    assert read["attributes"]["colonnade.node"].string_value == "standby"  # the endpoint for reads


def test_what_the_visitor_does_not_record_is_not_recorded_and_checks_are_no_traces(
    system: Runner, collector: Collector
) -> None:
    other = TRACE[::-1]
    assert ask(system, traceparent=f"00-{other}-{CALLER}-00")[0] == 200
    assert ask(system, "/later")[0] == 200  # begins a trace of its own, and comes after what went before
    system.wait_until(lambda: collector.at("/later"), "the span of the next request has come")
    assert not collector.of(other)
    paths = {span["attributes"]["url.path"].string_value for span in collector.spans if span["name"] == "GET"}
    assert paths <= {"/", "/rows", "/later"}


def test_a_gateway_that_trusts_nobody_has_every_request_begin_a_trace(system: Runner, collector: Collector) -> None:
    system.declare(DECLARED.format(trust="false", collector=collector.port))
    ran = system.run("apply")
    assert ran.exit_code == 0, ran.text
    mine = "1" + TRACE[1:]
    assert ask(system, "/stranger", traceparent=f"00-{mine}-{CALLER}-01")[0] == 200
    system.wait_until(lambda: collector.at("/stranger"), "the span of the request has come")
    assert [span["parent"] for span in collector.at("/stranger")] == [""]
    assert not collector.of(mine)
