"""The page in a real browser, on the real blog: what a person clicks, and what is seen when something breaks."""

from __future__ import annotations

import json
import os
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from .chromium import Browser, chromium, needs_chromium
from .harness import Runner

pytestmark = [pytest.mark.slow, needs_chromium()]

BLOG = Path(__file__).parents[2] / "apps" / "blog"


@pytest.fixture(scope="module")
def blog(make_runner: Callable[[], Runner]) -> Runner:
    runner = make_runner()
    shutil.copytree(
        BLOG, runner.directory, dirs_exist_ok=True, ignore=shutil.ignore_patterns(".colonnade", "__pycache__", "tests")
    )
    text = (BLOG / "colonnade.toml").read_text().replace("127.0.0.1:8080", f"127.0.0.1:{runner.port}")
    runner.write("colonnade.toml", text)
    runner.up()
    runner.running()
    return runner


@pytest.fixture(scope="module")
def browser(blog: Runner, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """Logged in with the address that `colonnade dashboard` prints."""
    with chromium(tmp_path_factory.mktemp("profile")) as opened:
        opened.size(1400, 1000)
        opened.driver.get(way_in(blog)["login_url"])
        yield opened


def way_in(blog: Runner, *options: str) -> dict[str, Any]:
    ran = blog.run("dashboard", "--json", *options)
    assert ran.exit_code == 0, ran.text
    found: dict[str, Any] = json.loads(ran.out)
    return found


def part(name: str) -> str:
    return f'[data-id="{name}"]'


def wait_well(blog: Runner, browser: Browser) -> None:
    blog.wait_until(lambda: browser.text("#headline-text").startswith("All is well"), "the page says that all is well")


def confirm(blog: Runner, browser: Browser) -> None:
    """In the dialog that asks whether it is meant."""
    blog.wait_until(lambda: browser.find("#dialog").is_displayed(), "it asks first")
    browser.press("Do it")
    blog.wait_until(lambda: not browser.find("#dialog").is_displayed() or browser.text("#dialog .refusal"), "an answer")
    assert not browser.find("#dialog").is_displayed(), browser.text("#dialog .refusal")


def test_the_first_screen_shows_the_system(blog: Runner, browser: Browser) -> None:
    wait_well(blog, browser)
    assert "#code" not in browser.driver.current_url, "a code stays in no address"
    for name in ("gateway", "frontend", "backend", "database", "backend/3", "database/a", "database/c"):
        assert browser.attribute(part(name), "data-health") == "well", name
    assert "primary" in browser.attribute(part("database/a"), "aria-label")
    assert len(browser.all(".picture .flow.replication")) == 3


def test_a_killed_replica_is_seen_in_its_place_with_its_why(blog: Runner, browser: Browser) -> None:
    wait_well(blog, browser)
    browser.driver.execute_script(
        """window.seen = [];
        new MutationObserver(() => window.seen.push(document.getElementById("headline-text").textContent))
          .observe(document.getElementById("headline-text"), { childList: true });"""
    )
    browser.click(part("backend/2"))
    os.kill(blog.replicas("backend")["backend/2"], signal.SIGKILL)
    blog.wait_until(
        lambda: any("backend/2" in line for line in browser.driver.execute_script("return window.seen")),
        "the headline names the replica that died",
    )
    blog.wait_until(lambda: "signal 9" in browser.text(".part .why"), "it says why")
    blog.wait_until(lambda: "signal 9" in browser.text(".events"), "it is among the events")
    wait_well(blog, browser)


def test_scaling_asks_first_and_then_scales(blog: Runner, browser: Browser) -> None:
    browser.click(part("frontend") + " .title")
    browser.press("Scale …")
    field = browser.find("#field-replicas")
    field.clear()
    field.send_keys("3")
    confirm(blog, browser)
    blog.wait_until(lambda: browser.attribute(part("frontend/3"), "data-health") == "well", "a third one serves")


def test_a_refusal_is_said_where_it_was_asked(blog: Runner, browser: Browser) -> None:
    browser.click(part("frontend") + " .title")
    browser.press("Scale …")
    field = browser.find("#field-replicas")
    field.clear()
    field.send_keys("999")
    browser.press("Do it")
    blog.wait_until(lambda: "expected 2 to 4" in browser.text("#dialog .refusal"), "it says what is wrong")
    browser.press("Cancel")
    # The console tells of every answer that is a refusal; this one was wanted.
    assert all("/api/scale" in line for line in browser.complaints())


def test_a_switchover_shows_another_primary(blog: Runner, browser: Browser) -> None:
    wait_well(blog, browser)
    browser.click(part("database/b"))
    browser.press("Make it the primary")
    confirm(blog, browser)
    blog.wait_until(lambda: "primary" in browser.attribute(part("database/b"), "aria-label"), "b is the primary")
    wait_well(blog, browser)


def test_keys_go_from_part_to_part(browser: Browser) -> None:
    script = """const picture = document.querySelector(".picture");
    const press = (key) => document.activeElement.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true }));
    picture.querySelector('[data-id="gateway"]').focus();
    press("ArrowRight");
    const next = document.activeElement.dataset.id;
    press("Enter");
    return [next, document.getElementById("part-title").textContent];"""
    next_part, shown = browser.driver.execute_script(script)
    assert next_part == shown == "frontend"
    assert len(browser.all(".picture [tabindex='0']")) == 1, "one stop for the tabulator"


@pytest.mark.parametrize(
    ("view", "words"),
    [
        ("why/db", "the database"),
        ("why/scaled", "frontend"),
        ("events", "replica exited"),
        ("logs/gateway", "the last"),
        ("versions", "Versions that are kept"),
        ("backups", "no backups are declared"),
        ("drills", "No drill was run yet"),
        ("plan", "Nothing was measured yet"),
        ("charts", "Charts"),
        ("objectives", "No alert is on"),
    ],
)
def test_every_view_says_what_there_is(blog: Runner, browser: Browser, view: str, words: str) -> None:
    browser.driver.execute_script(f"location.hash = '#/{view}'")
    blog.wait_until(lambda: words in browser.text("main"), f"{view} says {words!r}")


def test_dark_or_light_as_preferred_until_somebody_chooses(browser: Browser) -> None:
    browser.driver.execute_script("location.hash = '#/'")
    browser.prefer(prefers_color_scheme="light")
    light = browser.style("body", "background-color")
    browser.prefer(prefers_color_scheme="dark")
    dark = browser.style("body", "background-color")
    assert light != dark
    browser.click("#theme")
    assert browser.style("body", "background-color") == dark
    browser.click("#theme")
    assert browser.style("body", "background-color") == light
    browser.click("#theme")


def test_a_telephone_shows_all_of_it(blog: Runner, browser: Browser) -> None:
    browser.size(390, 800)
    blog.wait_until(lambda: int(browser.attribute(".picture", "width") or 9999) < 390, "the picture fits")
    wide = browser.driver.execute_script("return document.documentElement.scrollWidth - window.innerWidth")
    browser.size(1400, 1000)
    assert wide <= 0, "nothing sticks out"


def test_nothing_was_complained_of_and_nobody_else_was_asked(browser: Browser, blog: Runner) -> None:
    """Of all that was clicked before."""
    place = way_in(blog)["url"].removeprefix("http://")
    assert browser.complaints() == []
    assert browser.hosts_asked() == {place}


def test_a_viewer_has_no_buttons_that_change_anything(blog: Runner, browser: Browser) -> None:
    browser.click("#logout")
    blog.wait_until(lambda: browser.all("#token"), "it asks who one is")
    browser.driver.get("about:blank")
    browser.driver.get(way_in(blog, "--viewer")["login_url"])
    wait_well(blog, browser)
    browser.click(part("backend/1"))
    blog.wait_until(lambda: "pid" in browser.text(".part .why"), "it says why")
    assert browser.all(".part .actions button") == []
    assert browser.find("#role").is_displayed()
