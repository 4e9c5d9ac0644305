"""Colours and words: what a value means to the person who looks at it."""

from __future__ import annotations

from grafana_foundation_sdk.builders import dashboard
from grafana_foundation_sdk.models import dashboard as models


def thresholds(*steps: tuple[float | None, str]) -> dashboard.ThresholdsConfig:
    """(from this value on, this colour); the first has no lower end."""
    return (
        dashboard.ThresholdsConfig()
        .mode(models.ThresholdsMode.ABSOLUTE)
        .steps([models.Threshold(value=value, color=color) for value, color in steps])
    )


#: Any is too many; from a half on, because `increase` extrapolates to what is no whole number.
NONE_IS_GOOD = ((None, "green"), (0.5, "red"))
#: Service levels people know: three nines, two nines.
AVAILABILITY = ((None, "red"), (0.99, "orange"), (0.999, "green"))
#: Zero is as before.
CHANGED = ((None, "orange"), (0, "green"), (1, "orange"))
NO_JUDGEMENT = ((None, "text"),)


def mapping(*values: tuple[str, str, str]) -> models.ValueMap:
    """(value, text, colour) for values that stand for words."""
    return models.ValueMap(
        {value: models.ValueMappingResult(text=text, color=color) for value, text, color in values}
    )


#: The unit of what is counted: whole numbers, by thousands.
COUNT = "locale"

CONNECTED = mapping(("1", "connected", "green"), ("0", "disconnected", "red"))
SWITCHED_ON = mapping(("1", "on", "orange"), ("0", "off", "green"))
UP = mapping(("1", "up", "green"), ("0", "down", "red"))
CONFIRMED = mapping(("1", "confirmed", "green"), ("0", "not confirmed", "red"))
LOADED = mapping(("1", "loaded", "green"), ("0", "refused", "red"))


def nothing(text: str) -> models.SpecialValueMap:
    """A word for "no value", which 0/0 is too."""
    return models.SpecialValueMap(
        models.DashboardSpecialValueMapOptions(
            models.SpecialValueMatch.NULL_AND_NAN, models.ValueMappingResult(text=text)
        )
    )


def color(mode: models.FieldColorModeId) -> dashboard.FieldColor:
    """A colour scheme."""
    return dashboard.FieldColor().mode(mode)


def link(title: str, url: str) -> dashboard.DashboardLink:
    """A link on a value."""
    return dashboard.DashboardLink(title).url(url)
