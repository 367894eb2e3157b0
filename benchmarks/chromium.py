"""Headless Chromium (Debian: chromium, chromium-driver) and selenium, as benchmarks, tests and pictures of pages use it."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from typing import Any

from selenium import webdriver

WORDS = ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu")


def installed() -> bool:
    """Whether the browser and its driver are there."""
    return bool(shutil.which("chromium") and shutil.which("chromedriver"))


def chromium(*words: str, capabilities: Mapping[str, Any] | None = None) -> webdriver.Chrome:
    """A browser with these further words on its command line; WebDriverException where it does not start."""
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium") or "chromium"
    for word in (*WORDS, *words):
        options.add_argument(word)
    for name, value in (capabilities or {}).items():
        options.set_capability(name, value)
    return webdriver.Chrome(options=options, service=webdriver.ChromeService(shutil.which("chromedriver")))
