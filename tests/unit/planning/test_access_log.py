"""What a line of a log says, in each format that is understood."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from colonnade.planning.access_log import Entry, entry_of, moment_of

AT = datetime(2025, 10, 10, 11, 55, 36, tzinfo=UTC).timestamp()
COMBINED = '203.0.113.9 - - [10/Oct/2025:13:55:36 +0200] "GET /a?x=1 HTTP/1.1" 200 23 "-" "Mozilla/5.0 (X11; 1.5)"'
HAPROXY = (
    "Oct 10 11:55:36 host haproxy[14389]: 10.0.1.2:33317 [10/Oct/2025:11:55:36.655] public web/r1 "
    '10/0/30/69/109 503 2750 - - ---- 1/1/1/1/0 0/0 "POST /api/posts HTTP/1.1"'
)


@pytest.mark.parametrize(
    ("line", "entry"),
    [
        (COMBINED, Entry(AT, None, 200, "GET", "/a")),
        (COMBINED + " 0.250", Entry(AT, 0.25, 200, "GET", "/a")),
        (COMBINED + " rt=1.500 uct=0.1", Entry(AT, 1.5, 200, "GET", "/a")),
        ('::1 - - [10/Oct/2025:11:55:36 +0000] "-" 408 0', Entry(AT)),
        (HAPROXY, Entry(AT + 0.655, 0.109, 503, "POST", "/api/posts")),
        (HAPROXY.replace("109 503", "+109 -1"), Entry(AT + 0.655, 0.109, None, "POST", "/api/posts")),
        (
            json.dumps({"ts": AT, "request": {"method": "PUT", "uri": "/b?c"}, "duration": 0.5, "status": 201}),
            Entry(AT, 0.5, 201, "PUT", "/b"),
        ),
        (
            json.dumps(
                {"StartUTC": "2025-10-10T11:55:36Z", "Duration": 2_000_000, "DownstreamStatus": 500, "RequestPath": "/"}
            ),
            Entry(AT, 0.002, 500, "", "/"),
        ),
        (json.dumps({"time": "2025-10-10T11:55:36Z", "duration_ms": 20, "status": "404"}), Entry(AT, 0.02, 404)),
        (json.dumps({"time": "2025-10-10T11:55:36Z", "duration": "soon"}), Entry(AT)),
        ("[1, 2]", None),
        ("{}", None),
        ("", None),
        ("started in 3.2 s", None),
    ],
)
def test_a_line_says_when_and_what_and_how_long(line: str, entry: Entry | None) -> None:
    found = entry_of(line)
    if entry is None:
        assert found is None
    else:
        assert found is not None
        assert found.moment_s == pytest.approx(entry.moment_s)
        assert (found.took_s, found.status, found.method, found.path) == (
            pytest.approx(entry.took_s) if entry.took_s is not None else None,
            entry.status,
            entry.method,
            entry.path,
        )
        assert moment_of(line) == pytest.approx(entry.moment_s)
