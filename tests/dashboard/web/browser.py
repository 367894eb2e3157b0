"""A headless Chromium and dashboards that it looks at, all at one fixed time. Any line in the console fails the test."""

import json

import pytest

from tests.conftest import MOSQUITTO
from tests.dashboard.web.conftest import Web
from tests.waiting import wait_until

chromium = pytest.importorskip("benchmarks.chromium")  # it needs selenium
ActionChains = pytest.importorskip("selenium.webdriver").ActionChains
NEEDED = [
    pytest.mark.broker,
    pytest.mark.skipif(
        not (MOSQUITTO and chromium.installed()), reason="needs mosquitto, chromium, chromium-driver"
    ),
    pytest.mark.xdist_group("chromium"),
]
NOW = 1_795_098_600.0  # 2026-11-19T14:30:00Z
ZONE = "Asia/Kolkata"  # UTC+5:30: no hour of it is one of UTC
_CLOCK = """
const Real = Date;
globalThis.Date = class extends Real {
  constructor(...given) { super(...(given.length ? given : [Real.fixed])); }
  static now() { return Real.fixed; }
};
Real.fixed = %d;
"""


class Browser:
    """One Chromium, on one dashboard at a time."""

    def __init__(self):
        self.driver = chromium.chromium(
            "--window-size=1280,900", capabilities={"goog:loggingPrefs": {"browser": "ALL"}}
        )
        self.driver.set_page_load_timeout(20)
        self.command("Emulation.setTimezoneOverride", timezoneId=ZONE)
        self._clock = None

    def command(self, name, **arguments):
        return self.driver.execute_cdp_cmd(name, arguments)

    def set_clock(self, at):
        """From the next page on it is `at`, and stays so."""
        if self._clock is not None:
            self.command("Page.removeScriptToEvaluateOnNewDocument", identifier=self._clock)
        found = self.command("Page.addScriptToEvaluateOnNewDocument", source=_CLOCK % (at * 1000))
        self._clock = found["identifier"]

    def set_width(self, width, height=900):
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
        self.command("Emulation.setDeviceMetricsOverride", **size)

    def leave(self):
        """Let go of what is shown, and of what the console has."""
        self.driver.get("about:blank")
        self.driver.get_log("browser")

    def open(self, web, path="/#/"):
        self.driver.get("about:blank")
        self.driver.get(web.url + path)

    def js(self, script):
        return self.driver.execute_script(f"return {script}")

    def text(self, selector="body"):
        return self.js(f"document.querySelector({json.dumps(selector)})?.innerText ?? ''")

    def until(self, wanted, timeout=60):
        return wait_until(wanted, timeout, self.text, passing=Exception, every=0.1)

    def shows(self, *texts, selector="body", timeout=60):
        return self.until(lambda: all(text in self.text(selector) for text in texts), timeout)

    def click(self, selector):
        self.until(lambda: self.js(f"(document.querySelector({json.dumps(selector)}).click(), true)"))

    def press(self, *keys):
        ActionChains(self.driver).send_keys(*keys).perform()

    def errors(self, *, allowed=()):
        """What the console has; the page is left then, so that the end of its dashboard is no error."""
        self.driver.get("about:blank")
        found = [
            line["message"]
            for line in self.driver.get_log("browser")
            if line["level"] in {"SEVERE", "WARNING"}
        ]
        return [line for line in found if not any(part in line for part in allowed)]


class Shown(Web):
    """A dashboard that `page` looks at: whatever the console has at its end fails, but for what is `allowed`."""

    def __init__(self, page, url, *, allowed=(), **options):
        super().__init__(url, **options)
        self.page, self._allowed = page, allowed

    def __enter__(self):
        super().__enter__()
        self.until(lambda: self.dashboard.stream.snapshot()["note"].get("connected"))
        return self

    def __exit__(self, kind, *rest):
        found = self.page.errors(allowed=self._allowed)
        super().__exit__(kind, *rest)
        if kind is None:
            assert found == []
