"""Debian's Chromium, driven by Selenium: a page as a person has it, with whom it asked and what it complained of."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

if TYPE_CHECKING:
    from selenium.webdriver import Chrome
    from selenium.webdriver.remote.webelement import WebElement

BROWSER, DRIVER = "chromium", "chromedriver"


def needs_chromium() -> pytest.MarkDecorator:
    missing = [name for name in (BROWSER, DRIVER) if shutil.which(name) is None]
    return pytest.mark.skipif(bool(missing), reason=f"not installed here: {', '.join(missing)}")


class Browser:
    """One window. `find` and `all` take CSS selectors."""

    def __init__(self, driver: Chrome) -> None:
        self.driver = driver

    def find(self, selector: str) -> WebElement:
        return self.driver.find_element("css selector", selector)

    def all(self, selector: str) -> list[WebElement]:
        return self.driver.find_elements("css selector", selector)

    def text(self, selector: str) -> str:
        """Of the first that there is; empty when there is none, or it was drawn anew meanwhile."""
        script = "return document.querySelector(arguments[0])?.textContent ?? ''"
        return str(self.driver.execute_script(script, selector))

    def attribute(self, selector: str, name: str) -> str:
        script = "return document.querySelector(arguments[0])?.getAttribute(arguments[1]) ?? ''"
        return str(self.driver.execute_script(script, selector, name))

    def click(self, selector: str) -> None:
        self.find(selector).click()

    def press(self, text: str) -> None:
        """The visible button with these words."""
        found = [one for one in self.all("button") if one.text.startswith(text) and one.is_displayed()]
        assert found, f"no button {text!r}, but {[one.text for one in self.all('button')]}"
        found[-1].click()

    def style(self, selector: str, name: str) -> str:
        return self.find(selector).value_of_css_property(name)

    def prefer(self, **features: str) -> None:
        """Media features such as prefers_color_scheme="dark"."""
        named = [{"name": name.replace("_", "-"), "value": value} for name, value in features.items()]
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": named})

    def size(self, width: int, height: int) -> None:
        about = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", about)

    def complaints(self) -> list[str]:
        """What the console said, and is no mere information."""
        return [entry["message"] for entry in self._log("browser") if entry["level"] != "INFO"]

    def hosts_asked(self) -> set[str]:
        """Whom the page sent requests to; Chromium's own pages are none."""
        messages = [json.loads(entry["message"])["message"] for entry in self._log("performance")]
        asked = [one["params"]["request"]["url"] for one in messages if one["method"] == "Network.requestWillBeSent"]
        return {urlsplit(url).netloc for url in asked if url.startswith(("http", "ws"))}

    def _log(self, name: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.driver.get_log(name)  # type: ignore[no-untyped-call]
        return found


@contextmanager
def chromium(profile: Path) -> Iterator[Browser]:
    """A browser with an empty profile in `profile`; ended afterwards, whatever happens."""
    from selenium.webdriver import Chrome, ChromeOptions
    from selenium.webdriver.chrome.service import Service

    options = ChromeOptions()
    options.binary_location = shutil.which(BROWSER) or BROWSER
    # As root, and where /dev/shm is small, it starts with these alone.
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"):
        options.add_argument(argument)
    options.add_argument(f"--user-data-dir={profile}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    environment: dict[str, Any] = {**os.environ, "HOME": str(profile)}
    driver = Chrome(options=options, service=Service(shutil.which(DRIVER), env=environment))
    try:
        yield Browser(driver)
    finally:
        driver.quit()
