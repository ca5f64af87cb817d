"""An application that takes its time: sleeps ARTICLE_TIME_S, asks the next service if there is one, and answers.

It sleeps instead of computing, so that as many replicas as one likes run on a machine with few cores, each as fast as
the article has it.
"""

from __future__ import annotations

import os
import time
import urllib.request
from collections.abc import Callable, Iterable
from typing import Any

TIME_S = float(os.environ.get("ARTICLE_TIME_S", "0"))
NEXT_URL = os.environ.get("MIDDLE_URL") or os.environ.get("BACK_URL") or ""


def app(environ: dict[str, Any], start_response: Callable[[str, list[tuple[str, str]]], object]) -> Iterable[bytes]:
    """WSGI."""
    if environ["PATH_INFO"] not in ("/readyz", "/livez"):
        time.sleep(TIME_S)
        if NEXT_URL:
            with urllib.request.urlopen(NEXT_URL, timeout=60) as answer:  # noqa: S310 — the address of our own service
                answer.read()
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "3")])
    return [b"ok\n"]
