"""The live page in a real browser, during real churn."""

from __future__ import annotations

import importlib.util
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import bcrypt
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
    namespace.wait_up("west", "east")
    return namespace


def agent(namespace: Namespace, *arguments: str) -> Agent:
    """An agent whose address stays the same."""
    return Agent(*arguments, namespace=namespace, listen=f"127.0.0.1:{PORT}")


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
        browser = playwright.chromium.launch(
            executable_path=str(launcher), args=FLAGS, timeout=DEADLINE * 1000
        )
        try:
            yield browser
        finally:
            browser.close()


def opened(browser: Any, url: str = URL, **options: Any) -> tuple[Any, list[str]]:
    """The page in a tab of its own, and what the browser complains of."""
    page = browser.new_context(**options).new_page()
    page.set_default_timeout(DEADLINE * 1000)
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(url)
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
    page.wait_for_selector("body.stale")
    assert not page.is_visible("text=The system reports every change"), "nobody knows"
    with agent(lively):
        page.wait_for_selector("#lost", state="hidden")
        page.wait_for_selector("body:not(.stale)")
        lively.ip("link set east down")
        page.wait_for_selector("#timeline rect.down")


# From ten seconds on, which only a busy machine takes, a time is without milliseconds.
LENGTH = r"([0-9.]+\sm?s|[0-9]+\smin( [0-9]+\ss)?)"
TIME = r"[0-9:]{8}(\.[0-9]{3})?"
BAR = "#timeline .bars li:has-text('{}') svg"


def test_the_pointer_and_the_keyboard_show_exact_times(lively: Namespace, browser: Any) -> None:
    """A part under the pointer says what it is; with a focus, the arrow keys go through them."""
    with agent(lively) as running:
        lively.ip("link set east down")
        running.wait_for("ip_interface_connected", 0, device="west")  # or the kernel may merge it
        lively.ip("link set east up")
        page, complaints = opened(browser)
        page.hover(BAR.format("west") + " rect.unknown", force=True)
        page.wait_for_selector("#tip:visible")
        assert "not known, before the start" in page.inner_text("#tip")
        page.mouse.move(0, 0)
        page.wait_for_selector("#tip", state="hidden")
        page.focus(BAR.format("west"))
        page.wait_for_selector("#tip:has-text('connected since')")
        page.keyboard.press("ArrowLeft")
        page.wait_for_selector("#tip:has-text('disconnected for')")
        tip = page.inner_text("#tip")
        assert re.fullmatch(rf"disconnected for {LENGTH}, {TIME} to {TIME}", tip), tip
        page.keyboard.press("Home")
        page.wait_for_selector("#tip:has-text('not known')")
        page.keyboard.press("Escape")
        page.wait_for_selector("#tip", state="hidden")
        assert complaints == []


def test_an_update_changes_nothing_else(lively: Namespace, browser: Any) -> None:
    """The focus, its tip, what is unfolded, and scrolling stay while the page follows a storm."""
    with agent(lively):
        lively.ip("link set east down")
        page, complaints = opened(browser, viewport={"width": 320, "height": 500})
        page.focus(BAR.format("west"))
        page.keyboard.press("Home")
        page.click("#quiet summary")
        page.focus(BAR.format("west"))
        page.keyboard.press("Home")
        page.evaluate("document.querySelector('#interfaces .scroll').scrollLeft = 40")
        top = page.evaluate("scrollY")
        lively.ip("link add north type veth peer name south")
        lively.batch(f"link set north {state}" for state in ("up", "down") * 20)
        page.wait_for_selector(BAR.format("north"))
        assert page.evaluate("document.activeElement.ariaLabel").startswith("west: ")
        assert "not known" in page.inner_text("#tip")
        assert page.evaluate("document.querySelector('#interfaces .scroll').scrollLeft") == 40
        assert page.evaluate("scrollY") == top
        assert page.query_selector("#quiet[open]")
        assert complaints == []


def test_the_clock_runs_only_with_the_agent(lively: Namespace, browser: Any) -> None:
    """Times run on between two changes; once the agent is lost, they stand still."""
    clock = "document.getElementById('clock').textContent"
    with agent(lively):
        page, _ = opened(browser)
        began = page.evaluate(clock)
        wait_until(lambda: page.evaluate(clock) > began, message="the clock runs")
    page.wait_for_selector("body.stale")
    stopped = page.evaluate(clock)
    page.wait_for_timeout(2500)
    assert page.evaluate(clock) == stopped


def test_it_works_with_a_password(lively: Namespace, browser: Any, tmp_path: Path) -> None:
    """Also with one in the address, which a script may not ask; a refusal is shown."""
    web = tmp_path / "web.yml"
    password = "$2b$04$" + bcrypt.hashpw(b"secret", bcrypt.gensalt(4)).decode()[7:]
    web.write_text(f"basic_auth_users: {{ops: '{password}'}}")
    with agent(lively, f"--web.config.file={web}"):
        page, complaints = opened(browser, URL.replace("//", "//ops:secret@"))
        lively.ip("link set east down")
        page.wait_for_selector(BAR.format("west") + " rect.down")
        page.route("**/*", lambda route: route.fulfill(status=429))
        page.wait_for_selector("#lost:has-text('The agent answers with HTTP status 429 since')")
    assert [text for text in complaints if "Failed to load resource" not in text] == []


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

        def quiet() -> bool:
            answered = len(statuses)
            page.wait_for_timeout(3000)
            return len(statuses) == answered

        # What was asked before may still be answered; who asks on is never quiet so long.
        wait_until(quiet, message="nothing is asked")


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
    with agent(lively) as running:
        lively.ip("link set east down")
        running.wait_for("ip_interfaces_connected", 2)  # those of loopback
        page, _ = opened(browser, java_script_enabled=False)
        assert page.locator("#timeline .bars .name").count() == 2
        assert "switched off since" in page.text_content(BAR.format("east"))
        assert "switched off" in page.inner_text("#interfaces")
