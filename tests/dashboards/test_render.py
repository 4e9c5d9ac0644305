"""What render.py hands to the page that draws a dashboard."""

import pytest

import render
from grafana import NAMES, load, variables

NOTE = {"iconColor": "red"}


@pytest.mark.parametrize("name", NAMES)
def test_opened_rows_show_every_panel_below_their_title(name: str) -> None:
    """No panel is lost, and none overlaps another, when every closed row is opened."""
    closed = load(name)
    dashboard = load(name)
    render.opened(dashboard)
    inside = [panel for row in closed["panels"] for panel in row.get("panels") or ()]
    assert len(dashboard["panels"]) == len(closed["panels"]) + len(inside)
    taken: set[tuple[int, int]] = set()
    for panel in dashboard["panels"]:
        at = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(at["x"], at["x"] + at["w"])
            for y in range(at["y"], at["y"] + at["h"])
        }
        assert not cells & taken, panel["title"]
        taken |= cells
    assert not any(panel.get("collapsed") for panel in dashboard["panels"])


def test_neighbors_are_one_mark() -> None:
    """Values above 0 in one step after the other are one region; Grafana shows them so."""
    values = [(0.0, "0"), (60.0, "1"), (120.0, "2"), (180.0, "0"), (300.0, "1")]
    assert render.regions(values, 60.0, NOTE) == [
        {"time": 60_000.0, "timeEnd": 120_000.0, "color": "red"},
        {"time": 300_000.0, "timeEnd": 300_000.0, "color": "red"},
    ]


def test_what_json_cannot_say_is_no_value() -> None:
    """NaN and infinity are gaps."""
    assert [render.number(text) for text in ("1.5", "NaN", "+Inf", None)] == [1.5, None, None, None]


def test_what_is_chosen_stands_beside_its_name() -> None:
    """A choice of few is shown by its text, also where its value has a comma."""
    chosen = {"interfaces": "ip_interface_transitions_total", "by": "device, family"}
    offered = dict.fromkeys(variables(load("host")), "one")
    shown = render.shown(load("host"), offered | chosen, chosen)
    assert (shown["interfaces"], shown["by"]) == ("All", "Device and family")
    assert shown["instance"] == "one"
