"""What the client did, counted by Prometheus' own library in this process: whatever exposes its registry shows it.

`metrics.py` is one such thing; an exporter that an application has already is another.
"""

from __future__ import annotations

from prometheus_client import Counter

READS = Counter(
    "colonnade_client_reads_total",
    "Reads that were answered, by the node that did (`primary` or `standby`); `fresh` is no where a page was older "
    "than the reader's own writes because nothing newer could be had.",
    ["node", "fresh"],
)
PASSED_OVER = Counter(
    "colonnade_client_reads_passed_over_total", "Nodes that a read went past because they were not fresh enough."
)
READ_RETRIES = Counter("colonnade_client_read_retries_total", "Attempts to read that failed and were repeated.")
WRITES = Counter(
    "colonnade_client_writes_total",
    "Writes by what their caller was told: `committed`; `unknown`, where COMMIT was sent and not answered; "
    "`unavailable`, where nothing was written.",
    ["outcome"],
)
WRITE_RETRIES = Counter("colonnade_client_write_retries_total", "Attempts to write that failed and were repeated.")
UNAVAILABLE = Counter("colonnade_client_reads_unavailable_total", "Reads that no node answered in time.")
