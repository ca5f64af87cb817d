"""The rules that count answers by latency inside HAProxy, so that nobody has to log and add up requests. Pure.

One table per service, of the backend's own name: a row per slot, a counter per bucket of `core/histogram.py`.
`answers.py` reads it at each look, `view.py` adds the rows up.
"""

from __future__ import annotations

from collections.abc import Iterator

from colonnade.core.histogram import BOUNDS_MS, BUCKETS_COUNT
from colonnade.gateway.state import Pool

LATENCY_EXITS = (1, 4, 8, 12)
"""After these buckets (2 ms, 12 ms, 100 ms, 900 ms) answers that are counted leave the list of rules."""


def latency_lines(pool: Pool) -> Iterator[str]:
    """Counts each answer of a replica by the time since its request was here: a row per slot, a counter per bucket.
    A rule costs 0.1 to 0.2 µs, so quick answers leave the list early; nothing may stand after it."""
    yield f"    stick-table type integer size {pool.slots_max} nopurge store gpc({BUCKETS_COUNT})"
    yield "    http-request set-var(txn.began_ms) date(0,ms)"
    yield "    http-response set-var(txn.took_ms) date(0,ms),sub(txn.began_ms)"
    yield "    http-response track-sc0 srv_id"
    lower = 0
    for bucket, bound in enumerate(BOUNDS_MS):
        # Not from 0: a clock that is set back would make it less.
        took = f"{lower}:{bound - 1}" if bucket else f"lt {bound}"
        yield f"    http-response sc-inc-gpc({bucket},0) if {{ var(txn.took_ms) -m int {took} }}"
        if bucket in LATENCY_EXITS:
            yield f"    http-response allow if {{ var(txn.took_ms) -m int lt {bound} }}"
        lower = bound
    yield f"    http-response sc-inc-gpc({len(BOUNDS_MS)},0) if {{ var(txn.took_ms) -m int ge {lower} }}"
