"""From `colonnade up` to the first good response through the gateway: with nothing on disk, and with data."""

from __future__ import annotations

import subprocess
import sys
import time
import urllib.error
import urllib.request
from typing import Any

from blog import Blog
from figures import distribution


def measure(repetitions: int) -> dict[str, Any]:
    empty, with_data = [], []
    for _ in range(repetitions or 5):
        with Blog() as blog:
            empty.append(_first_response_s(blog))
            blog.command("down")
            with_data.append(_first_response_s(blog))
    return {"nothing_on_disk_s": distribution(empty), "with_data_s": distribution(with_data)}


def _first_response_s(blog: Blog) -> float:
    began = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, "-m", "colonnade.cli.main", "up", "--detach"], cwd=blog.directory, stdout=subprocess.DEVNULL
    )
    try:
        while time.monotonic() - began < 60:
            try:
                with urllib.request.urlopen(blog.url + "/", timeout=2) as answer:
                    if answer.status == 200:
                        return time.monotonic() - began
            except (urllib.error.URLError, OSError):
                time.sleep(0.02)
        raise TimeoutError("no good response within 60 s")
    finally:
        process.wait(60)
