"""The table in docs/metrics.md has every metric, as it is declared.

`UPDATE_GOLDEN=1 pytest tests/golden/test_metrics_page.py` rewrites it.
"""

from __future__ import annotations

import os
from pathlib import Path

from colonnade.observe.metrics import METRICS
from colonnade.observe.reference import metrics_table

PAGE = Path(__file__).parents[2] / "docs" / "metrics.md"
BEGIN = "pytest tests/golden/test_metrics_page.py -->\n"
END = "<!-- end -->\n"


def test_the_page_has_the_metrics_that_there_are() -> None:
    text = PAGE.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    made = f"{before}{BEGIN}\n{metrics_table(METRICS)}\n{END}{after}"
    if os.environ.get("UPDATE_GOLDEN"):
        PAGE.write_text(made, encoding="utf-8")
    assert made == PAGE.read_text(encoding="utf-8")
