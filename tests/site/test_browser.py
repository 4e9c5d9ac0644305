"""The landing page in a real browser."""

import shutil
import subprocess
from pathlib import Path

import pytest
from PIL import Image
from requirements_here import require
from support.agent import PROJECT, Agent
from support.waiting import DEADLINE

RECORDING = PROJECT / "tests/data/golden/recording.jsonl"


def browse(url: str, folder: Path, *flags: str) -> "subprocess.CompletedProcess[str]":
    """Open a page in Chromium, with a profile of its own."""
    chromium = shutil.which("chromium")
    require(chromium, "chromium: apt-get install chromium")
    assert chromium
    command = [chromium, "--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr"]
    command += [f"--user-data-dir={folder}", "--window-size=1000,700", *flags, url]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=10 * DEADLINE, check=True
    )


@pytest.mark.parametrize(
    ("preference", "background"), [("light", (255, 255, 255)), ("dark", (13, 17, 23))]
)
def test_the_landing_page_is_styled_and_breaks_no_rule(
    preference: str, background: tuple[int, int, int], tmp_path: Path
) -> None:
    """A browser shows every interface, in the colors of its preference, and reports nothing."""
    setting = "--blink-settings=preferredColorScheme=" + {"dark": "0", "light": "1"}[preference]
    with Agent("replay", str(RECORDING)) as agent:
        agent.wait_for("ip_interface_exporter_replay_finished", 1)
        page = f"http://127.0.0.1:{agent.port}/"
        dom = browse(page, tmp_path / "a", setting, "--dump-dom")
        picture = tmp_path / "page.png"
        shot = browse(page, tmp_path / "b", setting, f"--screenshot={picture}")
        devices = agent.scrape().devices()
    assert devices
    assert not {name for name in devices if f">{name}<" not in dom.stdout}
    complaints = [line for line in (dom.stderr + shot.stderr).splitlines() if "CONSOLE" in line]
    assert not complaints
    with Image.open(picture) as image:
        assert image.convert("RGB").getpixel((5, 5)) == background
