"""The live page in a real browser, during real churn."""

from __future__ import annotations

import importlib.util
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from requirements_here import require
from support.agent import Agent
from support.namespace import Namespace
from support.waiting import DEADLINE, wait_until

FLAGS = [
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update"),
]
PORT = 10190  # in a namespace every port is free
URL = f"http://127.0.0.1:{PORT}/?range=15m"


@pytest.fixture
def lively(namespace: Namespace) -> Namespace:
    """A namespace with a veth pair that is up."""
    namespace.ip("link set lo up")
    namespace.ip("link add west type veth peer name east")
    namespace.batch(f"link set {name} up" for name in ("west", "east"))
    return namespace


def agent(namespace: Namespace) -> Agent:
    """An agent whose address stays the same."""
    return Agent(namespace=namespace, listen=f"127.0.0.1:{PORT}")


@pytest.fixture
def browser(lively: Namespace, tmp_path: Path) -> Iterator[Any]:
    """A Chromium in the namespace."""
    require(importlib.util.find_spec("playwright"), "playwright: pip install -e '.[dev]'")
    chromium = shutil.which("chromium")
    require(chromium, "chromium: apt-get install chromium")
    from playwright.sync_api import sync_playwright

    # Entering a namespace counts for this thread and what it starts.
    launcher = tmp_path / "chromium"
    launcher.write_text(f'#!/bin/sh\nexec ip netns exec {lively.name} {chromium} "$@"\n')
    launcher.chmod(0o755)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(launcher), args=FLAGS)
        try:
            yield browser
        finally:
            browser.close()


def opened(browser: Any, **options: Any) -> tuple[Any, list[str]]:
    """The page in a tab of its own, and what the browser complains of."""
    page = browser.new_context(**options).new_page()
    page.set_default_timeout(DEADLINE * 1000)
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(URL)
    return page, complaints


def test_the_page_follows_what_happens(lively: Namespace, browser: Any) -> None:
    """Bars, changes and rows appear, change and vanish without a reload; names stay text."""
    with agent(lively):
        page, complaints = opened(browser)
        assert "No interface changed" in page.inner_text("#timeline")
        lively.ip("link set east down")
        page.wait_for_selector("#timeline .bars li:has-text('west') rect.down")
        page.wait_for_selector("#timeline .bars li:has-text('east') rect.disabled")
        assert "connected → disconnected, cause carrier" in page.inner_text("#changes")
        lively.ip("link add '<b>x' type veth peer name '<i>y'")
        page.wait_for_selector("#timeline .bars li:has-text('<b>x')")
        assert page.query_selector("#timeline b, #changes b, #timeline i") is None
        lively.ip("link del west")
        page.wait_for_selector("#interfaces td.gone")
        assert complaints == []


def test_the_page_says_that_it_has_lost_the_agent(lively: Namespace, browser: Any) -> None:
    """A stopped agent is noticed, with the time, and so is that it is back."""
    with agent(lively):
        page, _ = opened(browser)
        page.wait_for_selector("#timeline p")
    page.wait_for_selector("#lost:visible")
    assert "No answer from the agent since" in page.inner_text("#lost")
    with agent(lively):
        page.wait_for_selector("#lost", state="hidden")
        lively.ip("link set east down")
        page.wait_for_selector("#timeline rect.down")


def test_nothing_is_asked_while_nobody_looks(lively: Namespace, browser: Any) -> None:
    """A page that is not visible asks for nothing, and an unchanged one is not sent again."""
    with agent(lively):
        page, _ = opened(browser)
        statuses: list[int] = []
        page.on("response", lambda response: statuses.append(response.status))
        page.wait_for_event("response")
        page.wait_for_event("response")
        wait_until(lambda: page.wait_for_event("response").status == 304, message="unchanged")
        assert set(statuses) <= {200, 304}
        page.evaluate(
            "Object.defineProperty(document, 'hidden', {get: () => true});"
            "document.dispatchEvent(new Event('visibilitychange'))"
        )
        page.wait_for_timeout(500)  # what was asked before may still be answered
        asked = len(statuses)
        page.wait_for_timeout(3000)
        assert len(statuses) == asked


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [320, 1400])
def test_everybody_can_read_it(lively: Namespace, browser: Any, scheme: str, width: int) -> None:
    """Axe finds no violation in either scheme; a narrow screen need not scroll sideways."""
    require(importlib.util.find_spec("axe_playwright_python"), "axe: pip install -e '.[dev]'")
    from axe_playwright_python.sync_playwright import Axe

    with agent(lively):
        lively.ip("link set east down")
        viewport = {"width": width, "height": 900}
        page, _ = opened(browser, color_scheme=scheme, viewport=viewport, bypass_csp=True)
        page.wait_for_selector("#timeline rect")
        result = Axe().run(page)
        assert result.violations_count == 0, result.generate_report()
        overflow = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        assert page.evaluate(overflow) <= 0
        background = page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert background == {"light": "rgb(255, 255, 255)", "dark": "rgb(13, 17, 23)"}[scheme]


def test_without_javascript_it_is_the_same_page(lively: Namespace, browser: Any) -> None:
    """The server draws the bars; only the updates need a script."""
    with agent(lively):
        lively.ip("link set east down")
        page, _ = opened(browser, java_script_enabled=False)
        assert page.locator("#timeline .bars li").count() == 2
        assert "switched off" in page.inner_text("#interfaces")
