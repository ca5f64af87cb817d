"""Lighthouse on the dashboard of a running blog: accessibility and best practices, by its own scores.

It comes from npm into .bench/lighthouse and uses Debian's Chromium. Not in CI: it takes a minute and half a gigabyte.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from blog import Blog

PLACE = Path(__file__).parent.parent / ".bench" / "lighthouse"
VERSION = "12"
CATEGORIES = ("accessibility", "best-practices")
VIEWS = ("", "charts", "objectives", "why", "events", "logs", "versions", "backups", "drills", "plan")
FORMS = {"desktop": ["--preset=desktop"], "mobile": []}
SCHEMES = {"light": 1, "dark": 0}
"""What the browser prefers, by Chromium's own numbers."""
FOUND_MAX, FOUND_CHARS_MAX = 5, 600
"""Kept of what an audit found wanting."""


def measure(_: int) -> dict[str, Any]:
    """Scores from 0 to 100 for each view, on a desktop and on a telephone, light and dark, with what was found wanting
    and what was asked of others than the dashboard. That the console said nothing is one of the best practices."""
    npm, browser = shutil.which("npm"), shutil.which("chromium")
    if npm is None or browser is None:
        return {"skipped": "needs npm and chromium, which are not installed here"}
    PLACE.mkdir(parents=True, exist_ok=True)
    subprocess.run(
        [npm, "install", "--silent", "--no-audit", "--no-fund", "--prefix", str(PLACE), f"lighthouse@{VERSION}"],
        check=True,
    )
    with Blog() as blog:
        blog.up()
        return {
            f"{view or 'now'}, {form}, {scheme}": _scores(blog, view, (form, scheme), browser)
            for view in VIEWS
            for form in FORMS
            for scheme in SCHEMES
        }


def _scores(blog: Blog, view: str, way: tuple[str, str], browser: str) -> dict[str, Any]:
    # A code logs in once, so each run has its own.
    address = json.loads(blog.command("dashboard", "--json"))["login_url"] + (f"&view={view}" if view else "")
    program = str(PLACE / "node_modules" / ".bin" / "lighthouse")
    form, scheme = way
    command = [program, address, *FORMS[form], f"--only-categories={','.join(CATEGORIES)}", "--output=json", "--quiet"]
    flags = "--headless=new --no-sandbox --disable-gpu --disable-dev-shm-usage"
    command.append(f"--chrome-flags={flags} --blink-settings=preferredColorScheme={SCHEMES[scheme]}")
    environment = {**os.environ, "CHROME_PATH": browser}
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment, timeout=180)
    report = json.loads(done.stdout)
    found: dict[str, Any] = {name: round(100 * report["categories"][name]["score"]) for name in CATEGORIES}
    audits = report["audits"]
    requests = audits.get("network-requests", {}).get("details", {}).get("items", [])
    ours = urlsplit(address).netloc
    references = [one["id"] for name in CATEGORIES for one in report["categories"][name]["auditRefs"] if one["weight"]]
    return {
        **found,
        "asked_elsewhere": [one["url"] for one in requests if urlsplit(one["url"]).netloc not in (ours, "")],
        "wanting": {name: _found_by(audits[name]) for name in references if _is_short(audits[name])},
    }


def _is_short(audit: dict[str, Any]) -> bool:
    return (audit["score"] or 0) < 1 and audit["scoreDisplayMode"] not in ("notApplicable", "manual", "informative")


def _found_by(audit: dict[str, Any]) -> list[str]:
    """What it was, as Lighthouse says it: a score alone explains nothing once the page is gone."""
    items: list[Any] = audit.get("details", {}).get("items", [])
    return [json.dumps(item)[:FOUND_CHARS_MAX] for item in items[:FOUND_MAX]]
