"""The pictures of the README are what their scripts draw from the recorded run."""

import importlib.util
import json
import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from types import ModuleType

import pytest
from PIL import Image

PICTURES = Path(__file__).parents[2] / "dashboards" / "pictures"


@pytest.fixture(scope="module")
def timeline() -> ModuleType:
    """dashboards/pictures/timeline.py."""
    spec = importlib.util.spec_from_file_location("timeline", PICTURES / "timeline.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_timeline_is_drawn_from_the_run(timeline: ModuleType) -> None:
    """Drawing the recording again gives the committed picture, byte for byte."""
    drawn = timeline.draw(timeline.read()).encode()
    assert drawn == (PICTURES / "timeline.svg").read_bytes(), "run dashboards/pictures/timeline.py"


def test_the_outages_in_the_picture_are_those_of_the_recording(timeline: ModuleType) -> None:
    """Seen and proven outages are together what the recording's lines say, counted otherwise."""
    counted: dict[str, int] = {}
    for line in (PICTURES / "run.jsonl").read_text().splitlines():
        data = json.loads(line)
        if data.get("family") != "ipv4" or data["link"]["name"] == "lo":
            continue
        name = data["link"]["name"]
        fell = data["event"] == "parameter" and data["row"]["connected"] is False
        merged = data.get("unobserved", [0, 0])[1]
        counted[name] = counted.get(name, 0) + fell + merged
    assert {name: device.outages for name, device in timeline.read().items()} == counted
    assert sum(counted.values()) > 30


@pytest.mark.parametrize("name", ["fleet.png", "host.png"])
def test_a_dashboard_is_shown_as_wide_as_it_is_read(name: str) -> None:
    """Each picture of a dashboard is a PNG of 1,600 pixels, in both READMEs, with a text."""
    with Image.open(PICTURES / name) as picture:
        assert picture.format == "PNG"
        assert picture.width == 1600
    dashboards = PICTURES.parent
    for readme, path in (
        (dashboards / "README.md", f"pictures/{name}"),
        (dashboards.parent / "README.md", f"dashboards/pictures/{name}"),
    ):
        assert re.search(rf"!\[.{{20,}}\]\({re.escape(path)}\)", readme.read_text())


@pytest.mark.parametrize("name", ["timeline.svg", "architecture.svg"])
def test_a_picture_is_an_image_with_a_text_for_those_who_cannot_see_it(name: str) -> None:
    """Each picture is well-formed SVG and has a label or a title."""
    root = ElementTree.parse(PICTURES / name).getroot()
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    title = root.find("{http://www.w3.org/2000/svg}title")
    assert root.get("aria-label") or (title is not None and title.text)
